//! Several calls in one body.

use super::Body;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The most calls that one body may have: far more than op-node's twenty, and what op-geth's public ports take by default.
pub(crate) const MOST: usize = 1000;

/// Reads an array, of as many elements as may be and one, so that what comes behind costs nothing.
pub(super) fn read(bytes: &[u8]) -> Body<'_> {
    let mut calls = Vec::new();
    let mut text = serde_json::Deserializer::from_slice(bytes);
    match Elements(&mut calls).deserialize(&mut text).and_then(|()| text.end()) {
        Ok(()) => Body::Batch(calls),
        Err(_) if calls.len() > MOST => Body::TooMany,
        Err(_) => Body::Unreadable,
    }
}

struct Elements<'v, 'a>(&'v mut Vec<&'a RawValue>);

impl<'a> DeserializeSeed<'a> for Elements<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Elements<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut elements: S) -> Result<(), S::Error> {
        while let Some(element) = elements.next_element()? {
            self.0.push(element);
            if self.0.len() > MOST {
                return Err(S::Error::custom("too many elements"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_not_read_to_its_end() {
        let calls = |count: usize, end: &str| format!("[{}{end}", vec!["7"; count].join(","));
        let text = calls(MOST, "]");
        assert!(matches!(read(text.as_bytes()), Body::Batch(calls) if calls.len() == MOST));
        assert!(matches!(read(calls(MOST + 1, "]").as_bytes()), Body::TooMany));
        assert!(matches!(read(calls(MOST + 1, ",{").as_bytes()), Body::TooMany));
        assert!(matches!(read(calls(MOST, ",{").as_bytes()), Body::Unreadable));
        assert!(matches!(read(calls(2, "]]").as_bytes()), Body::Unreadable));
    }
}
