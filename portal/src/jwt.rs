//! JSON Web Tokens as the Engine API uses them (execution-apis, `engine/authentication.md`): HS256, `iat` within 60 s.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::Sha256;
use std::{
    fmt,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Mutex, PoisonError},
};
use subtle::ConstantTimeEq;

/// Seconds that `iat` may be off, inclusive, by the specification.
pub const MAX_DRIFT: u64 = 60;
/// Seconds beyond it that are forgiven: some nodes sign `now + 60` exactly, and no two clocks agree.
pub const SLACK: u64 = 5;

/// The header that every token made here begins with: `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// What stands before a variable's name where a file's could.
pub(crate) const VARIABLE: &str = "env:";

/// A shared secret. Never printed.
// Comparing is for telling a changed configuration from the same, never for authentication, so it needn't take constant time.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file can't be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The environment doesn't have it.
    #[error("the environment has no variable {0}; set it, or name a file")]
    Variable(String),
    /// The file, or variable, holds something else.
    #[error("{0} must hold 32 bytes as 64 hexadecimal digits (`openssl rand -hex 32` makes some)")]
    Format(String),
    /// Anybody would try that.
    #[error("{0} holds nothing but zeroes, which is no secret; make one with `openssl rand -hex 32`")]
    Zeroes(String),
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("the Authorization header must be \"Bearer <token>\"")]
    Missing,
    /// It isn't a token.
    #[error("the token is malformed")]
    Malformed,
    /// Another algorithm.
    #[error("the token's algorithm must be HS256")]
    Algorithm,
    /// Another secret.
    #[error("the token's signature is wrong: the two sides' secrets differ")]
    Signature,
    /// Too old or too new.
    #[error("the token's iat is more than 60 s off: check the clocks")]
    IssuedAt,
    /// It says so itself.
    #[error("the token's exp has passed")]
    Expired,
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Claims {
    iat: u64,
    #[serde(default)]
    exp: Option<u64>,
}

impl Claims {
    fn check(self, now: u64) -> Result<(), TokenError> {
        if now.abs_diff(self.iat) > MAX_DRIFT + SLACK {
            return Err(TokenError::IssuedAt);
        }
        if self.exp.is_some_and(|exp| exp.saturating_add(MAX_DRIFT + SLACK) < now) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

impl Secret {
    /// A secret from its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A secret from a file of 64 hexadecimal digits, with or without `0x`, or from the variable that follows `env:`.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let name = || path.display().to_string();
        let text = match variable(path) {
            Some(variable) => std::env::var(variable).map_err(|_| SecretError::Variable(variable.to_owned()))?,
            None => std::fs::read_to_string(path).map_err(|source| SecretError::Read { path: name(), source })?,
        };
        let bytes = alloy::hex::decode_to_array(text.trim()).map_err(|_| SecretError::Format(name()))?;
        if bytes == [0; 32] { Err(SecretError::Zeroes(name())) } else { Ok(Self(bytes)) }
    }

    /// A token issued at a time (Unix seconds), without `exp`, which some clients refuse.
    pub fn token(&self, issued_at: u64) -> String {
        let claims = format!("{{\"iat\":{issued_at}}}");
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.mac(token.as_bytes()).finalize().into_bytes();
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        token
    }

    /// Checks the value of an Authorization header at a time (Unix seconds).
    pub fn authorize(&self, header: Option<&str>, now: u64) -> Result<(), TokenError> {
        self.claims(header)?.check(now)
    }

    /// What a token that is signed with this secret says.
    fn claims(&self, header: Option<&str>) -> Result<Claims, TokenError> {
        let header = header.ok_or(TokenError::Missing)?;
        let (scheme, token) = header.split_once(' ').ok_or(TokenError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenError::Missing);
        }
        let (signed, signature) = token.trim().rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
        let header = decode(header)?;
        let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
        if header.alg != "HS256" {
            return Err(TokenError::Algorithm);
        }
        self.mac(signed.as_bytes()).verify_slice(&decode(signature)?).map_err(|_| TokenError::Signature)?;
        serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::Malformed)
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        // HMAC pads a key to its block of 64 bytes; doing it here lets the key's size be right by type.
        let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
        key[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key);
        mac.update(message);
        mac
    }
}

/// The variable that stands where a secret's file could.
fn variable(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(VARIABLE)
}

/// The permissions of a secret's file (links followed) if they let everybody read or write it, or its group write, such as 0o644. `None` for a variable. That its
/// group may read it is how services are given what root owns; an access control list for one user looks the same.
pub(crate) fn open_to_others(path: &Path) -> Option<u32> {
    if variable(path).is_some() {
        return None;
    }
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o026 != 0).then_some(mode)
}

/// Checks tokens, the same one again at a glance: a consensus client's calls within a second all carry it.
pub(crate) struct Doorkeeper {
    secret: Secret,
    /// The last Authorization header that was let in, and what it says.
    last: Mutex<Option<(String, Claims)>>,
}

impl fmt::Debug for Doorkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doorkeeper(..)")
    }
}

impl Doorkeeper {
    pub(crate) const fn new(secret: Secret) -> Self {
        Self { secret, last: Mutex::new(None) }
    }

    /// Like [`Secret::authorize`].
    pub(crate) fn authorize(&self, header: Option<&str>, now: u64) -> Result<(), TokenError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // In constant time: how long it takes must not help to guess a token that still counts.
        if let (Some(header), Some((known, claims))) = (header, &*last)
            && bool::from(known.as_bytes().ct_eq(header.as_bytes()))
        {
            return claims.check(now);
        }
        let claims = self.secret.claims(header)?;
        claims.check(now)?;
        *last = header.map(|header| (header.to_owned(), claims));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn secret() -> Secret {
        Secret::new([7; 32])
    }

    fn signed(header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = secret().mac(signed.as_bytes()).finalize().into_bytes();
        format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn check(claims: &str) -> Result<(), TokenError> {
        secret().authorize(Some(&signed(r#"{"typ":"JWT","alg":"HS256"}"#, claims)), NOW)
    }

    #[test]
    fn agrees_with_an_independent_implementation() {
        // Made with Python: hmac.new(bytes([7] * 32), ..., "sha256"), base64.urlsafe_b64encode.
        assert_eq!(secret().token(NOW), include_str!("../tests/fixtures/token.txt").trim());
    }

    #[test]
    fn accepts_its_own_tokens() {
        let header = format!("Bearer {}", secret().token(NOW));
        assert_eq!(secret().authorize(Some(&header), NOW), Ok(()));
        assert_eq!(secret().authorize(Some(&header.replace("Bearer", "bearer")), NOW), Ok(()));
    }

    #[test]
    fn drift_is_bounded_on_both_sides() {
        for drift in [0, MAX_DRIFT, MAX_DRIFT + SLACK] {
            assert_eq!(check(&format!(r#"{{"iat":{}}}"#, NOW + drift)), Ok(()));
            assert_eq!(check(&format!(r#"{{"iat":{}}}"#, NOW - drift)), Ok(()));
        }
        let far = MAX_DRIFT + SLACK + 1;
        assert_eq!(check(&format!(r#"{{"iat":{}}}"#, NOW + far)), Err(TokenError::IssuedAt));
        assert_eq!(check(&format!(r#"{{"iat":{}}}"#, NOW - far)), Err(TokenError::IssuedAt));
    }

    #[test]
    fn a_token_that_was_let_in_is_so_again_until_it_is_too_old() {
        let door = Doorkeeper::new(secret());
        let header = format!("Bearer {}", secret().token(NOW));
        assert_eq!(door.authorize(Some(&header), NOW), Ok(()));
        assert_eq!(door.authorize(Some(&header), NOW + MAX_DRIFT + SLACK), Ok(()));
        assert_eq!(door.authorize(Some(&header), NOW + MAX_DRIFT + SLACK + 1), Err(TokenError::IssuedAt));
        // Neither its beginning nor another's signature will do.
        assert_eq!(door.authorize(Some(&header[..header.len() - 2]), NOW), Err(TokenError::Malformed));
        let other = format!("Bearer {}", Secret::new([8; 32]).token(NOW));
        assert_eq!(door.authorize(Some(&other), NOW), Err(TokenError::Signature));
        assert_eq!(door.authorize(None, NOW), Err(TokenError::Missing));
        assert_eq!(door.authorize(Some(&header), NOW), Ok(()));
        assert!(!format!("{door:?}").contains(&header));
    }

    #[test]
    fn a_null_exp_is_none() {
        assert_eq!(check(&format!(r#"{{"iat":{},"exp":null}}"#, NOW + 60)), Ok(()));
        assert_eq!(check(&format!(r#"{{"iat":{NOW},"exp":{}}}"#, NOW - 100)), Err(TokenError::Expired));
        assert_eq!(check(r#"{"exp":null}"#), Err(TokenError::Malformed));
    }

    #[test]
    fn refuses_other_secrets_algorithms_and_schemes() {
        let other = format!("Bearer {}", Secret::new([8; 32]).token(NOW));
        assert_eq!(secret().authorize(Some(&other), NOW), Err(TokenError::Signature));
        let none = signed(r#"{"typ":"JWT","alg":"none"}"#, &format!(r#"{{"iat":{NOW}}}"#));
        assert_eq!(secret().authorize(Some(&none), NOW), Err(TokenError::Algorithm));
        assert_eq!(secret().authorize(None, NOW), Err(TokenError::Missing));
        assert_eq!(secret().authorize(Some("Basic abc"), NOW), Err(TokenError::Missing));
        assert_eq!(secret().authorize(Some("Bearer a.b"), NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn secrets_come_from_files_and_are_never_printed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("jwt.hex");
        std::fs::write(&path, format!("0x{}\n", "07".repeat(32))).expect("written");
        let read = Secret::read(&path).expect("a secret");
        assert_eq!(read.token(NOW), secret().token(NOW));
        assert!(!format!("{read:?}").contains('7'));
        std::fs::write(&path, "0707").expect("written");
        assert!(matches!(Secret::read(&path), Err(SecretError::Format(_))));
        std::fs::write(&path, "0x".to_owned() + &"00".repeat(32)).expect("written");
        assert!(matches!(Secret::read(&path), Err(SecretError::Zeroes(_))));
        assert!(
            matches!(Secret::read(Path::new("env:BATON_NO_SUCH")), Err(SecretError::Variable(name)) if name == "BATON_NO_SUCH")
        );
    }
}
