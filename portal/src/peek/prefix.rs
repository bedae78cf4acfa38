//! The beginning of a body, by which most of the large ones are told: a `newPayload` of megabytes needn't be read to know where it goes.

use super::{Call, Method};
use crate::version::{self, Name};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The longest part of a body that is looked at.
pub(crate) const LONGEST: usize = 512;

/// A call of `newPayload` whose method stands before its parameters, as all clients write it. `None`: it takes reading the whole body.
pub(crate) fn new_payload(bytes: &[u8]) -> Option<Call<'_>> {
    let mut text = Text { rest: &bytes[..bytes.len().min(LONGEST)] };
    text.expect(b'{')?;
    let mut id = None;
    loop {
        let key = text.string()?;
        text.expect(b':')?;
        match key {
            "method" => {
                let name = text.string()?;
                let (Name::NewPayload, _) = version::parse(name)? else { return None };
                return Some(Call { id, name: Cow::Borrowed(name), method: Method::NewPayload });
            }
            "jsonrpc" => {
                text.string()?;
            }
            "id" => {
                let raw: &RawValue = serde_json::from_slice(text.scalar()?).ok()?;
                id = (raw.get() != "null").then_some(raw);
            }
            _ => return None,
        }
        text.expect(b',')?;
    }
}

struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    fn skip_space(&mut self) {
        let space = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.rest = &self.rest[space..];
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        self.skip_space();
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (*first == wanted).then_some(())
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let end = self.rest.iter().position(|byte| *byte == b'"')?;
        let text = std::str::from_utf8(self.take(end)).ok()?;
        self.expect(b'"')?;
        (!text.contains('\\')).then_some(text)
    }

    /// A string without escapes, a number, or a word, as it is written.
    fn scalar(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        if self.rest.first() == Some(&b'"') {
            let before = self.rest;
            self.string()?;
            return Some(&before[..before.len() - self.rest.len()]);
        }
        let end = self.rest.iter().position(|byte| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r'))?;
        (end > 0).then(|| self.take(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write_is_told_by_its_beginning() {
        for text in [
            r#"{"jsonrpc":"2.0","id":7,"method":"engine_newPayloadV4","params":[{"#,
            r#"{"method":"engine_newPayloadV4","params":[{"#,
            r#" { "id" : 7 , "method" : "engine_newPayloadV4" , "#,
        ] {
            let call = new_payload(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(call.name, "engine_newPayloadV4");
            assert_eq!(call.id.map(RawValue::get), text.contains("id").then_some("7"));
        }
    }

    #[test]
    fn the_rest_is_read_as_a_whole() {
        for text in [
            "",
            "{",
            "[",
            r#"{"params":[],"method":"engine_newPayloadV4"}"#,
            r#"{"method":"engine_getPayloadV4","params":[]}"#,
            r#"{"method":"engine_new\u0050ayloadV4","params":[]}"#,
            r#"{"id":{},"method":"engine_newPayloadV4"}"#,
            r#"{"id":[1,2],"method":"engine_newPayloadV4"}"#,
            r#"{"id":,"method":"engine_newPayloadV4"}"#,
            r#"[{"method":"engine_newPayloadV4"}]"#,
        ] {
            assert!(new_payload(text.as_bytes()).is_none(), "{text}");
        }
    }
}
