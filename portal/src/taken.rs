//! Long values taken out of JSON objects. They are found by quotes and brackets alone, which is many times as fast as reading them.
//!
//! Nothing that is found so is believed. What is left of the object has an empty string in the value's place, and is read as strictly as ever: if it is JSON, the string
//! stands for the first value of the key, and a reader that refuses a second one knows it for the only one. A string ends by itself: with what came behind the
//! value it makes nothing longer, as a number would with `.5`. Whoever takes a value reads that strictly in turn. The whole is JSON exactly if both are.

use memchr::{memchr, memchr2};

/// What stands in a value's place.
const STAND_IN: &str = r#""""#;

/// A value that was taken out of an object.
#[derive(Debug)]
pub struct Taken<'a> {
    /// The object with an empty string in the value's place.
    pub rest: String,
    /// The value, without the space around it.
    pub value: &'a str,
}

/// Takes the value of a key out of an object; `None` if it isn't found.
pub fn take<'a>(object: &'a str, key: &str) -> Option<Taken<'a>> {
    let mut scanner = Scanner { text: object, at: 0 };
    scanner.space();
    scanner.expect(b'{')?;
    loop {
        scanner.space();
        let found = scanner.string()? == key;
        scanner.space();
        scanner.expect(b':')?;
        scanner.space();
        let at = scanner.at;
        scanner.value()?;
        if found {
            let (before, value, after) = (object.get(..at)?, object.get(at..scanner.at)?, object.get(scanner.at..)?);
            return Some(Taken { rest: [before, STAND_IN, after].concat(), value });
        }
        scanner.space();
        scanner.expect(b',')?;
    }
}

/// The strings in a list, as they stand between their quotes; `None` if it is no list of strings. Who takes them must refuse those that JSON doesn't allow: here all
/// that isn't a quote belongs to one.
pub fn strings(list: &str) -> Option<Vec<&str>> {
    let mut scanner = Scanner { text: list, at: 0 };
    let mut strings = Vec::new();
    scanner.space();
    scanner.expect(b'[')?;
    scanner.space();
    if scanner.next() != Some(b']') {
        loop {
            scanner.expect(b'"')?;
            let rest = list.get(scanner.at..)?;
            let string = rest.get(..memchr(b'"', rest.as_bytes())?)?;
            scanner.at += string.len() + 1;
            strings.push(string);
            scanner.space();
            if scanner.next() == Some(b']') {
                break;
            }
            scanner.expect(b',')?;
            scanner.space();
        }
    }
    scanner.expect(b']')?;
    scanner.space();
    scanner.next().is_none().then_some(strings)
}

/// Goes through JSON without reading it.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// A string, as it stands between its quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let begin = self.at;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            self.at += memchr2(b'"', b'\\', rest)?;
            if self.next() == Some(b'"') {
                let string = self.text.get(begin..self.at);
                self.at += 1;
                return string;
            }
            self.at += 2;
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
                    let rest = &self.text.as_bytes()[self.at..];
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json, value::RawValue};
    use std::collections::BTreeMap;

    fn taken(object: &str, key: &str) -> Option<(String, String)> {
        take(object, key).map(|taken| (taken.rest.clone(), taken.value.to_owned()))
    }

    #[test]
    fn values_are_taken_out_whole() {
        for (value, after) in [
            (r#"{"a":[1,{"b":"]}\""}],"c":{}}"#, ",\"z\":1"),
            (r#""\\""#, " "),
            (r#""\"}""#, ""),
            ("[ ]", " , \"z\" : [ ]"),
            ("-1.5e3", ""),
            ("true", ",\"key\\u0000\":2"),
            ("\"\u{e9}\u{1f600}\"", ""),
        ] {
            let object = format!(" {{ \"a\" : [ \"key\" , {{\"key\":7}} ] , \"key\" : {value}{after} }} ");
            let rest = format!(" {{ \"a\" : [ \"key\" , {{\"key\":7}} ] , \"key\" : \"\"{after} }} ");
            assert_eq!(taken(&object, "key"), Some((rest, value.to_owned())), "{object}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for text in [
            "",
            "{",
            "{}",
            "[\"key\",1]",
            "{\"k\\u0065y\":1}",
            "{\"key\"",
            "{\"key\":",
            "{\"key\":\"",
            "{\"key\":[",
            "{\"key\":}",
            "{\"a\" 1,\"key\":2}",
        ] {
            assert_eq!(taken(text, "key"), None, "{text}");
        }
    }

    #[test]
    fn what_stands_in_grows_with_nothing() {
        for behind in [".5", "e5", "E-1", ".0e1", "0", "1", "x", "\"", "\"a\"", "null", "[]", "{}", "\\", "//"] {
            let taken = take(&format!("{{\"key\":{{}}{behind},\"a\":1}}"), "key").map(|taken| taken.rest);
            let is_json = |rest: String| serde_json::from_str::<BTreeMap<String, &RawValue>>(&rest).is_ok();
            assert!(!taken.is_some_and(is_json), "{behind}");
        }
    }

    #[test]
    fn lists_of_strings() {
        assert_eq!(strings("[]"), Some(vec![]));
        assert_eq!(strings(" [ \"a\" ,\n\"\" , \"b\\\" ] "), Some(vec!["a", "", "b\\"]));
        for text in [
            "",
            "[",
            "[\"a\"",
            "[\"a\",]",
            "[,\"a\"]",
            "[\"a\" \"b\"]",
            "[\"a\"]]",
            "[1]",
            "\"a\"",
            "[\"a]",
            "[\"a\"]x",
        ] {
            assert_eq!(strings(text), None, "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            "[\"\\\\{}\\[\\],:]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-d\"\\\\]{0,3}", inner, 0..5).prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        /// What is taken is what a reader reads, whatever is beside it, however it is written.
        #[test]
        fn what_is_taken_is_what_is_read(before in any_json(), value in any_json(), after in any_json(), pretty in any::<bool>()) {
            let mut members = serde_json::Map::new();
            for (key, value) in [("before", before), ("key", value), ("later", after)] {
                members.insert(key.to_owned(), value);
            }
            let text = if pretty { serde_json::to_string_pretty(&members) } else { serde_json::to_string(&members) };
            let text = text.expect("JSON");
            let taken = take(&text, "key").expect("taken");
            prop_assert_eq!(serde_json::from_str::<Value>(taken.value).expect("JSON"), members["key"].clone());
            let rest: BTreeMap<String, &RawValue> = serde_json::from_str(&taken.rest).expect("JSON");
            prop_assert_eq!(rest["key"].get(), STAND_IN);
            prop_assert_eq!(rest["later"].get().parse::<Value>().expect("JSON"), members["later"].clone());
        }

        /// Nothing makes it panic, or go on for ever.
        #[test]
        fn whatever_it_is(text in "[\"\\\\{}\\[\\],: a0\u{e9}]{0,40}") {
            take(&text, "a");
            strings(&text);
        }
    }
}
