//! URLs of L1 nodes. Providers put keys into them, so what is shown of one is never all of it.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};
use std::fmt;
use url::Url;

/// What stands for what isn't shown.
const HIDDEN: &str = "…";
/// From how many characters on a part of a path or query may be a key; shorter ones are words such as `v3`.
const SHORTEST_KEY: usize = 8;

/// An L1 node's URL as somebody wrote it. Shown, also by `Debug`, are scheme, host and port; userinfo, path and query may be keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeUrl(String);

impl NodeUrl {
    /// All of it, keys included: for dialling, not for showing.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL, if it is one; else what is wrong, without anything of it.
    pub(crate) fn parse(&self) -> Result<Url, String> {
        Url::parse(&self.0).map_err(|error| error.to_string())
    }

    /// A text by somebody else without what may be a key: nodes and libraries quote the URLs they were asked at.
    pub(crate) fn hide_in(&self, mut text: String) -> String {
        let Ok(url) = self.parse() else { return text };
        for part in secrets(&url) {
            text = text.replace(&part, HIDDEN);
        }
        text
    }
}

/// What may be a key, longest first, so that no part goes before what it is a part of.
fn secrets(url: &Url) -> Vec<String> {
    let path = url.path().trim_matches('/');
    let whole = [url.username(), url.password().unwrap_or_default(), path, url.query().unwrap_or_default()];
    let segments = path.split('/').map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    let single = segments.chain(values).filter(|part| part.chars().count() >= SHORTEST_KEY);
    let mut parts: Vec<_> = whole.into_iter().filter(|part| !part.is_empty()).map(str::to_owned).collect();
    parts.extend(single);
    parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.len()));
    parts
}

impl From<String> for NodeUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for NodeUrl {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(url) = self.parse() else { return f.write_str("(not a URL)") };
        let Some(host) = url.host_str() else { return f.write_str("(no host)") };
        write!(f, "{}://{host}", url.scheme())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        if secrets(&url).is_empty() { Ok(()) } else { write!(f, "/{HIDDEN}") }
    }
}

impl fmt::Debug for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Deserializes a list of URLs. For `#[serde(deserialize_with)]`: a list's own error would quote a URL that stands there without its brackets.
pub fn node_urls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NodeUrl>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<NodeUrl>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of URLs")
        }

        fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Err(E::custom("a list of URLs is wanted, also of a single one: put it into [brackets]"))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut urls = Vec::new();
            while let Some(url) = list.next_element()? {
                urls.push(url);
            }
            Ok(urls)
        }
    }
    deserializer.deserialize_any(List)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_scheme_host_and_port_are_shown() {
        for (url, shown) in [
            ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
            ("ws://node:8546/", "ws://node:8546"),
            ("wss://node/v2/s3cret-key", "wss://node/…"),
            ("https://node?key=s3cret-key", "https://node/…"),
            ("http://user:s3cret-key@node:1", "http://node:1/…"),
            ("https://s3cret-key@node", "https://node/…"),
            ("s3cret-key", "(not a URL)"),
            ("mail:s3cret-key", "(no host)"),
        ] {
            let url = NodeUrl::from(url);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }

    #[test]
    fn keys_are_taken_out_of_what_others_say() {
        for (url, said, left) in [
            ("https://node/v2/s3cret-key", "cannot POST /v2/s3cret-key", "cannot POST /…"),
            ("https://node/v2/s3cret-key", "bad project s3cret-key at v2", "bad project … at v2"),
            ("https://node/?key=s3cret-key", "no such key: s3cret-key", "no such key: …"),
            ("https://me:pw@node", "hello me, not pw", "hello …, not …"),
            ("http://127.0.0.1:8545", "execution reverted", "execution reverted"),
        ] {
            assert_eq!(NodeUrl::from(url).hide_in(said.to_owned()), left);
        }
    }

    #[test]
    fn a_list_that_is_none_is_refused_without_quoting_it() {
        let read = |value: serde_json::Value| node_urls(value).map_err(|error| error.to_string());
        assert_eq!(read(json!(["ws://a", "http://b"])), Ok(vec!["ws://a".into(), "http://b".into()]));
        for wrong in [json!("https://node/s3cret-key"), json!(7), json!(["http://a", 7])] {
            let error = read(wrong).expect_err("no list of URLs");
            assert!(!error.contains("s3cret-key"), "{error}");
        }
    }
}
