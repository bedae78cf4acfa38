//! How an error is told.

use std::error::Error;

/// An error and its causes, but for those that it quotes itself.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let (mut told, mut next) = (String::new(), Some(error));
    while let Some(error) = next {
        let text = error.to_string();
        let text = text.trim();
        if !told.contains(text) {
            told.push_str(if told.is_empty() { "" } else { ": " });
            told.push_str(text);
        }
        next = error.source();
    }
    told
}

/// A text in one line, for logs: libraries put in breaks of their own.
pub fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Said {
        said: &'static str,
        source: Option<Box<Said>>,
    }

    fn of(all: &[&'static str]) -> String {
        let (first, rest) = all.split_first().expect("an error");
        let source = rest.iter().rev().fold(None::<Box<Said>>, |source, said| Some(Box::new(Said { said, source })));
        told(&Said { said: first, source })
    }

    #[test]
    fn causes_are_told_once_each() {
        assert_eq!(of(&["no answer"]), "no answer");
        assert_eq!(of(&["no answer", "no connection", "refused"]), "no answer: no connection: refused");
        assert_eq!(of(&["no answer: no connection", "no connection", "refused"]), "no answer: no connection: refused");
        // Lines stay, but for what is around them.
        assert_eq!(of(&["line 3:\n  key = \n", "line 3:\n  key = \n", " no value\n"]), "line 3:\n  key =: no value");
    }

    #[test]
    fn breaks_become_spaces() {
        assert_eq!(in_one_line("unknown field `a`\n  in `b`\n"), "unknown field `a` in `b`");
    }
}
