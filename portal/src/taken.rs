//! A long list of strings taken out of JSON, from within several objects. It is found by quotes and brackets alone, in one pass, which is many times as fast as
//! reading it.
//!
//! Nothing that is found so is believed. What is left of each object has an empty list in the place of the value that led on, and is read as strictly as ever: if
//! it is JSON, the empty list stands for the first value of the key, and a reader that refuses a second one knows it for the only one. A list ends by itself: with
//! what came behind the value it makes nothing longer, as a number would with `.5`. Whoever takes the strings reads them strictly in turn. The whole is JSON, and
//! UTF-8, exactly if all of these are.

use memchr::{memchr, memchr2};

/// What stands in a value's place.
const STAND_IN: &str = "[]";

/// A list that was taken out of objects.
#[derive(Debug)]
pub struct Taken<'a, const N: usize> {
    /// The objects, the outermost first, with an empty list in the place of the next, or of the list.
    pub rests: [String; N],
    /// What was in that place, without the space around it.
    pub values: [&'a [u8]; N],
    /// The strings in the list, as they stand between their quotes. Who takes them must refuse those that JSON doesn't allow: here all that isn't a quote belongs
    /// to one.
    pub strings: Vec<&'a [u8]>,
}

/// Takes a list of strings out of an object, by the key of an object in it, and so on to the list's own; `None` if it isn't found, or what is left isn't UTF-8.
pub fn take<'a, const N: usize>(text: &'a [u8], path: [&str; N]) -> Option<Taken<'a, N>> {
    let mut scanner = Scanner { text, at: 0 };
    let mut places = [const { 0..0 }; N];
    scanner.space();
    for (place, key) in places.iter_mut().zip(path) {
        scanner.enter(key.as_bytes())?;
        place.start = scanner.at;
    }
    let strings = scanner.strings()?;
    for place in places.iter_mut().rev() {
        place.end = scanner.at;
        scanner.leave()?;
    }
    let (mut rests, mut values) = ([const { String::new() }; N], [text; N]);
    let mut object = 0..text.len();
    for ((rest, value), place) in rests.iter_mut().zip(&mut values).zip(places) {
        let (before, after) = (text.get(object.start..place.start)?, text.get(place.end..object.end)?);
        *rest = [str::from_utf8(before).ok()?, STAND_IN, str::from_utf8(after).ok()?].concat();
        *value = text.get(place.clone())?;
        object = place;
    }
    Some(Taken { rests, values, strings })
}

/// Goes through JSON without reading it.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn next(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Into an object, as far as the value of a key.
    fn enter(&mut self, key: &[u8]) -> Option<()> {
        self.expect(b'{')?;
        while self.key()? != key {
            self.value()?;
            self.space();
            self.expect(b',')?;
        }
        Some(())
    }

    /// Out of an object, from behind one of its values.
    fn leave(&mut self) -> Option<()> {
        loop {
            self.space();
            if self.expect(b'}').is_some() {
                return Some(());
            }
            self.expect(b',')?;
            self.key()?;
            self.value()?;
        }
    }

    /// A key, as it stands between its quotes, and all before its value.
    fn key(&mut self) -> Option<&'a [u8]> {
        self.space();
        let key = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Some(key)
    }

    /// A string, as it stands between its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let begin = self.at;
        loop {
            let rest = self.text.get(self.at..)?;
            self.at += memchr2(b'"', b'\\', rest)?;
            if self.next() == Some(b'"') {
                let string = self.text.get(begin..self.at);
                self.at += 1;
                return string;
            }
            self.at += 2;
        }
    }

    /// A list of strings without escapes, as they stand between their quotes.
    fn strings(&mut self) -> Option<Vec<&'a [u8]>> {
        let mut strings = Vec::new();
        self.expect(b'[')?;
        self.space();
        if self.expect(b']').is_some() {
            return Some(strings);
        }
        loop {
            self.space();
            self.expect(b'"')?;
            let rest = self.text.get(self.at..)?;
            let string = rest.get(..memchr(b'"', rest)?)?;
            self.at += string.len() + 1;
            strings.push(string);
            self.space();
            if self.expect(b']').is_some() {
                return Some(strings);
            }
            self.expect(b',')?;
        }
    }

    /// Any value.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.next()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => self.at += 1,
                _ => {
                    let rest = &self.text[self.at..];
                    // A number, or a word; at least a byte of something, so that this goes on.
                    let ends = |byte: &u8| b",:]}[{\" \t\n\r".contains(byte);
                    self.at += rest.iter().position(ends).unwrap_or(rest.len()).max(1);
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
