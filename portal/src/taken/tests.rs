use super::*;
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json, value::RawValue};
use std::fmt;

/// An object's members as they are written, whatever is among them.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl<'a> Members<'a> {
    /// Reads an object strictly.
    fn read(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The value of a key that is there once.
    fn only(&self, key: &str) -> Option<&'a str> {
        let mut values = self.0.iter().filter(|(other, _)| other == key);
        let only = values.next()?.1.get();
        values.next().is_none().then_some(only)
    }
}

/// Reads a list of strings strictly, none of which has an escape.
fn plain(list: &str) -> Option<Vec<&str>> {
    serde_json::from_str(list).ok()
}

/// What is taken by a path, if all of it is read as whoever takes it has to.
fn believed<'a, const N: usize>(text: &'a [u8], path: [&str; N]) -> Option<Vec<&'a str>> {
    let Taken { rests, values, strings } = take(text, path)?;
    for (rest, key) in rests.iter().zip(path) {
        Members::read(rest.as_bytes())?.only(key).filter(|value| *value == STAND_IN)?;
    }
    let strings: Option<Vec<_>> = strings.into_iter().map(|string| str::from_utf8(string).ok()).collect();
    let strings = strings?;
    for string in &strings {
        plain(&format!("[\"{string}\"]"))?;
    }
    // Each is in the one before.
    let mut around = text;
    for value in values {
        assert!(around.windows(value.len()).any(|part| part.as_ptr() == value.as_ptr()));
        around = value;
    }
    assert_eq!(plain(str::from_utf8(around).expect("UTF-8")).as_ref(), Some(&strings));
    Some(strings)
}

/// The same by nothing but reading.
fn read<'a, const N: usize>(text: &'a [u8], path: [&str; N]) -> Option<Vec<&'a str>> {
    // What serde passes over may be anything but UTF-8.
    let mut value = str::from_utf8(text).ok()?;
    for key in path {
        value = Members::read(value.as_bytes())?.only(key)?;
    }
    plain(value)
}

fn taken(object: &str, key: &str) -> Option<(String, String)> {
    let Taken { rests: [rest], values: [value], .. } = take(object.as_bytes(), [key])?;
    Some((rest, str::from_utf8(value).expect("UTF-8").to_owned()))
}

#[test]
fn lists_are_taken_out_whole() {
    for (value, after) in [
        (r#"["a","","\"]"#, r#","c":{}"#),
        ("[ ]", " , \"z\" : [ ]"),
        ("[]", ",\"key\\u0000\":2"),
        ("[ \"]\" ,\n\"}\"\t]", ""),
        ("[\"\u{e9}\u{1f600}\"]", " "),
    ] {
        let object = format!(" {{ \"a\" : [ \"key\" , {{\"key\":[]}} ] , \"key\" : {value}{after} }} ");
        let rest = format!(" {{ \"a\" : [ \"key\" , {{\"key\":[]}} ] , \"key\" : []{after} }} ");
        assert_eq!(taken(&object, "key"), Some((rest, value.to_owned())), "{object}");
    }
}

#[test]
fn objects_are_taken_out_whole() {
    let text = r#" {"c":["0"],"a" : {"b":{ "x":["\"}",{"c":1}],"c" :["1", "2" ] ,"y":-1.5e3} , "z":true}, "b":{}} "#;
    let Taken { rests, values, strings } = take(text.as_bytes(), ["a", "b", "c"]).expect("found");
    let expected = [
        r#" {"c":["0"],"a" : [], "b":{}} "#,
        r#"{"b":[] , "z":true}"#,
        r#"{ "x":["\"}",{"c":1}],"c" :[] ,"y":-1.5e3}"#,
    ];
    assert_eq!(rests, expected);
    assert!(values[0].starts_with(br#"{"b":{ "x""#) && values[0].ends_with(br#""z":true}"#));
    assert!(values[1].starts_with(br#"{ "x""#) && values[1].ends_with(b"-1.5e3}"));
    assert_eq!(values[2], br#"["1", "2" ]"#);
    assert_eq!(strings, [b"1", b"2"]);
}

#[test]
fn what_is_not_there_is_not_found() {
    for text in [
        "",
        "{",
        "{}",
        "[\"key\",[]]",
        "{\"k\\u0065y\":[]}",
        "{\"key\"",
        "{\"key\":",
        "{\"key\":\"",
        "{\"key\":[",
        "{\"key\":[]",
        "{\"key\":}",
        "{\"key\":\"a\"}",
        "{\"key\":{}}",
        "{\"key\":null}",
        "{\"a\" 1,\"key\":[]}",
    ] {
        assert_eq!(taken(text, "key"), None, "{text}");
    }
}

#[test]
fn lists_of_strings() {
    let strings = |list: &str| {
        let text = format!("{{\"key\":{list}}}");
        take(text.as_bytes(), ["key"]).map(|taken| taken.strings.iter().map(|string| string.to_vec()).collect())
    };
    assert_eq!(strings("[]"), Some(vec![]));
    assert_eq!(strings("[ \"a\" ,\n\"\" , \"b\\\" ] "), Some(vec![b"a".to_vec(), b"".to_vec(), b"b\\".to_vec()]));
    for text in ["", "[", "[\"a\"", "[\"a\",]", "[,\"a\"]", "[\"a\" \"b\"]", "[\"a\"]]", "[1]", "[\"a]", "[\"a\"]x"] {
        assert_eq!(strings(text), None::<Vec<Vec<u8>>>, "{text}");
    }
}

#[test]
fn what_stands_in_grows_with_nothing() {
    for behind in [".5", "e5", "E-1", ".0e1", "0", "1", "x", "\"", "\"a\"", "null", "[]", "{}", "\\", "//"] {
        for text in
            [format!("{{\"a\":{{\"b\":[]{behind},\"c\":1}}}}"), format!("{{\"a\":{{\"b\":[]}}{behind},\"c\":1}}")]
        {
            assert_eq!(believed(text.as_bytes(), ["a", "b"]), None, "{text}");
        }
    }
}

#[test]
fn all_of_it_is_utf8() {
    let text = r#"{"0":"?","a":{"1":"?","b":{"2":"?","c":["?"],"3":"?"},"4":"?"},"5":"?"}"#.as_bytes();
    assert_eq!(believed(text, ["a", "b", "c"]), Some(vec!["?"]));
    let mut places = 0;
    for at in (0..text.len()).filter(|at| text[*at] == b'?') {
        let mut other = text.to_vec();
        other[at] = 0xff;
        assert_eq!(believed(&other, ["a", "b", "c"]), None, "{}", other.escape_ascii());
        places += 1;
    }
    assert_eq!(places, 7);
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

/// A list of strings without escapes, or nearly.
fn any_list() -> impl Strategy<Value = String> {
    prop::collection::vec("[0x{}\\[\\],: \u{e9}]{0,5}", 0..4).prop_map(|strings| json!(strings).to_string())
}

/// An object around a value: what comes before it, and behind it, may have the same key, written in one way or another.
fn around(key: &'static str, value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let members = || {
        let key = prop_oneof![
            4 => Just("\"other\"".to_owned()),
            1 => Just(format!("\"{key}\"")),
            1 => Just(format!("\"\\u{:04x}\"", key.as_bytes()[0])),
        ];
        let member = (key, any_json()).prop_map(|(key, value)| format!("{key} :{value}"));
        prop::collection::vec(member, 0..2)
    };
    (members(), value, members()).prop_map(move |(mut before, value, after)| {
        before.push(format!("\"{key}\":{value}"));
        before.extend(after);
        format!("{{{}}}", before.join(", "))
    })
}

/// An object with a list at a path, and, in half of all cases, with something cut out and something else put in its place.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![
        "[\"\\\\{}\\[\\],: abc0.]{0,3}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..2),
    ];
    let damage = prop::option::of((any::<prop::sample::Index>(), 0..3usize, bytes));
    (around("a", around("b", around("c", any_list()))), damage).prop_map(|(text, damage)| {
        let mut text = text.into_bytes();
        if let Some((at, length, bytes)) = damage {
            let at = at.index(text.len());
            let end = text.len().min(at + length);
            text.splice(at..end, bytes);
        }
        text
    })
}

proptest! {
    /// What is taken is what a reader reads, whatever is beside it, however it is written.
    #[test]
    fn what_is_taken_is_what_is_read(
        before in any_json(), strings in prop::collection::vec("[^\"\\\\\\x00-\\x1f]{0,8}", 0..5), after in any_json(), pretty in any::<bool>()
    ) {
        let members = |value: Value| json!({"before": before.clone(), "key": value, "later": after.clone()});
        let object = members(members(json!(strings)));
        let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
        let text = text.expect("JSON");
        let strings: Vec<&[u8]> = strings.iter().map(String::as_bytes).collect();
        let taken = take(text.as_bytes(), ["key", "key"]).expect("taken");
        prop_assert_eq!(taken.strings, strings);
        for rest in taken.rests {
            prop_assert_eq!(serde_json::from_str::<Value>(&rest).expect("JSON"), members(json!([])));
        }
        for (value, expected) in taken.values.into_iter().zip([&object["key"], &object["key"]["key"]]) {
            prop_assert_eq!(&serde_json::from_slice::<Value>(value).expect("JSON"), expected);
        }
    }

    /// Taken and read strictly, it is what reading alone gives, and it is refused where that refuses it.
    #[test]
    fn one_pass_finds_what_reading_finds(text in any_text()) {
        prop_assert_eq!(believed(&text, ["a", "b", "c"]), read(&text, ["a", "b", "c"]), "{}", text.escape_ascii());
    }

    /// Nothing makes it panic, or go on for ever.
    #[test]
    fn whatever_it_is(text in "[\"\\\\{}\\[\\],: a0\u{e9}]{0,40}") {
        take(text.as_bytes(), ["a"]);
        take(text.as_bytes(), ["a", "a"]);
    }
}
