//! JSON objects, read as nothing but objects. What serde derives for a struct also takes an array of its fields by position, where a node sees several calls,
//! or nothing that it knows.

use serde::{Deserialize, de::Error};

fn check(text: &[u8]) -> serde_json::Result<()> {
    let first = text.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    if first == Some(&b'[') { Err(Error::custom("an array where an object belongs")) } else { Ok(()) }
}

/// Reads an object from text that may be none.
pub(crate) fn from_slice<'a, T: Deserialize<'a>>(text: &'a [u8]) -> serde_json::Result<T> {
    check(text)?;
    serde_json::from_slice(text)
}

/// Reads an object.
pub(crate) fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    check(text.as_bytes())?;
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Pair {
        a: u8,
        b: u8,
    }

    #[test]
    fn fields_have_names() {
        for text in ["[1,2]", " \t\r\n[1,2]", "7", "", "null"] {
            assert!(from_str::<Pair>(text).is_err() && from_slice::<Pair>(text.as_bytes()).is_err(), "{text}");
        }
        for text in [r#"{"a":1,"b":2}"#, " \t\r\n{\"a\":1,\"b\":2}"] {
            assert_eq!(from_str::<Pair>(text).expect("an object"), Pair { a: 1, b: 2 });
            assert_eq!(from_slice::<Pair>(text.as_bytes()).expect("an object"), Pair { a: 1, b: 2 });
        }
    }
}
