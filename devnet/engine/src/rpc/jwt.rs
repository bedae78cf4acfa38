//! JWT authentication of the Engine API (Engine API specification, authentication).

use std::{fmt, time::SystemTime};

use alloy::primitives::hex;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// Seconds by which a token's issue time may differ from ours.
const MAX_DRIFT: u64 = 60;

/// Seconds on top: some clients issue tokens that are exactly 60 s ahead.
const DRIFT_SLACK: u64 = 5;

/// Why a token is refused. None of the messages shows the token or the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// The secret isn't 32 bytes of hex.
    #[error("jwt secret must be 32 bytes as hex")]
    Secret,
    /// No `Authorization: Bearer ..` header.
    #[error("missing token: send an Authorization header with a Bearer token")]
    Missing,
    /// Not three base64url parts with JSON in the first two.
    #[error("malformed token")]
    Malformed,
    /// Another algorithm than HS256.
    #[error("unsupported signing algorithm: use HS256")]
    Algorithm,
    /// Signed with another secret.
    #[error("invalid signature: check that both sides have the same secret")]
    Signature,
    /// Issued too long ago or too far ahead.
    #[error("stale token: iat must be within {MAX_DRIFT} s, check the clocks")]
    Stale,
    /// Past its expiry.
    #[error("expired token: exp is over")]
    Expired,
}

/// A shared secret.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtSecret([u8; 32]);

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSecret(..)")
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iat: u64,
    /// Some clients send `null`.
    #[serde(default)]
    exp: Option<u64>,
}

impl JwtSecret {
    /// A secret from its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A secret from hex, as key files hold it: with or without 0x, white space around it ignored.
    ///
    /// # Errors
    /// When it isn't 32 bytes of hex.
    pub fn from_hex(hex: &str) -> Result<Self, JwtError> {
        hex::decode_to_array(hex.trim()).map(Self).map_err(|_| JwtError::Secret)
    }

    /// A token issued at `now`, Unix seconds.
    pub fn token(&self, now: u64) -> String {
        let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"iat":{now}}}"#));
        let signed = format!("{header}.{claims}");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.mac(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    /// Checks the value of an Authorization header at `now`, Unix seconds.
    ///
    /// # Errors
    /// Says what is wrong with the token.
    pub fn verify_header(&self, header: Option<&str>, now: u64) -> Result<(), JwtError> {
        let (scheme, token) = header.and_then(|header| header.split_once(' ')).ok_or(JwtError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(JwtError::Missing);
        }
        self.verify(token.trim(), now)
    }

    /// Checks a token at `now`, Unix seconds.
    ///
    /// # Errors
    /// Says what is wrong with the token.
    pub fn verify(&self, token: &str, now: u64) -> Result<(), JwtError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        if decode::<Header>(header)?.alg != "HS256" {
            return Err(JwtError::Algorithm);
        }
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtError::Malformed)?;
        self.mac(signed).verify_slice(&signature).map_err(|_| JwtError::Signature)?;
        let claims: Claims = decode(claims)?;
        if now.abs_diff(claims.iat) > MAX_DRIFT + DRIFT_SLACK {
            return Err(JwtError::Stale);
        }
        match claims.exp {
            Some(exp) if exp.saturating_add(DRIFT_SLACK) < now => Err(JwtError::Expired),
            _ => Ok(()),
        }
    }

    fn mac(&self, message: &str) -> Hmac<Sha256> {
        // The key is 32 bytes, no longer than a block, so that it is used as it is.
        let mut mac = <Hmac<Sha256> as Mac>::new(&{
            let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
            key[..32].copy_from_slice(&self.0);
            key
        });
        mac.update(message.as_bytes());
        mac
    }
}

/// The current time in Unix seconds.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, JwtError> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| JwtError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn secret() -> JwtSecret {
        JwtSecret::from_hex("0x7365637265747365637265747365637265747365637265747365637265747365\n").unwrap()
    }

    fn signed(secret: &JwtSecret, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(secret.mac(&signed).finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    #[test]
    fn agrees_with_a_token_made_elsewhere() {
        // Python: hmac.new(b"secretsecretsecretsecretsecretse", head.claims, sha256), claims {"iat":1700000000}.
        let token =
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDB9.M2nY84VaM-AUfRGDPC_vdyUsN1rvFs8UaGBU76h2vK4";
        assert_eq!(secret().verify(token, NOW), Ok(()));
        assert_eq!(secret().token(NOW), token);
    }

    #[test]
    fn issue_time_may_be_a_minute_off_and_little_more() {
        for (now, expected) in
            [(NOW - 60, Ok(())), (NOW + 60, Ok(())), (NOW - 66, Err(JwtError::Stale)), (NOW + 66, Err(JwtError::Stale))]
        {
            assert_eq!(secret().verify(&secret().token(NOW), now), expected, "at {now}");
        }
    }

    #[test]
    fn null_expiry_is_no_expiry() {
        let head = r#"{"alg":"HS256"}"#;
        let token = |claims: &str| signed(&secret(), head, claims);
        assert_eq!(secret().verify(&token(r#"{"iat":1700000000,"exp":null}"#), NOW), Ok(()));
        assert_eq!(secret().verify(&token(r#"{"iat":1700000000,"exp":1700000001}"#), NOW), Ok(()));
        assert_eq!(secret().verify(&token(r#"{"iat":1700000000,"exp":1699999000}"#), NOW), Err(JwtError::Expired));
        assert_eq!(secret().verify(&token(r#"{"exp":1700000001}"#), NOW), Err(JwtError::Malformed));
    }

    #[test]
    fn other_secrets_algorithms_and_shapes_are_refused() {
        let other = JwtSecret::new([7; 32]);
        assert_eq!(secret().verify(&other.token(NOW), NOW), Err(JwtError::Signature));
        let unsigned = signed(&secret(), r#"{"alg":"none"}"#, r#"{"iat":1700000000}"#);
        assert_eq!(secret().verify(&unsigned, NOW), Err(JwtError::Algorithm));
        assert_eq!(secret().verify("a.b", NOW), Err(JwtError::Malformed));
        assert_eq!(secret().verify_header(None, NOW), Err(JwtError::Missing));
        assert_eq!(secret().verify_header(Some("Basic abc"), NOW), Err(JwtError::Missing));
        assert_eq!(secret().verify_header(Some(&format!("bearer {}", secret().token(NOW))), NOW), Ok(()));
    }

    #[test]
    fn secrets_are_never_shown() {
        assert_eq!(format!("{:?}", secret()), "JwtSecret(..)");
        assert_eq!(JwtSecret::from_hex("0x1234"), Err(JwtError::Secret));
    }
}
