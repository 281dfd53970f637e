//! What the processes of a run must share: a secret, and a fingerprint of what they run.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The environment variable that holds the secret.
pub const SECRET_VARIABLE: &str = "COUNTER_MACHINE_SECRET";

/// What SHA-256 takes at a time: the size of an HMAC key.
const BLOCK_BYTES: usize = 64;

/// What the processes of a run know, and a stranger does not. Its text is shown nowhere.
///
/// Whoever hears a handshake can try secrets against it at leisure: a long random one withstands that, a word does not.
#[derive(Clone)]
pub struct Secret {
    /// The digest of the text.
    digest: [u8; 32],
}

/// The fingerprint of what all processes must agree on: the pipeline, the workers of each process, the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterId(pub [u8; 32]);

impl Secret {
    /// The secret that the environment variable `COUNTER_MACHINE_SECRET` holds; none where it is empty or not set.
    pub fn from_environment() -> Option<Secret> {
        // As bytes: a secret need not be text.
        use std::os::unix::ffi::OsStrExt;
        Secret::of(std::env::var_os(SECRET_VARIABLE)?.as_bytes())
    }

    /// The secret with this text; none where there is none. Space around it does not count: files end in a newline.
    pub fn of(text: impl AsRef<[u8]>) -> Option<Secret> {
        let text = text.as_ref().trim_ascii();
        (!text.is_empty()).then(|| Secret { digest: Sha256::digest(text).into() })
    }

    /// What processes without a secret use in its place: it keeps nobody out.
    pub(super) fn none() -> Secret {
        Secret { digest: Sha256::digest(b"").into() }
    }

    /// HMAC-SHA256 with this secret, as yet over nothing.
    pub(super) fn hmac(&self) -> Hmac<Sha256> {
        let mut key = [0; BLOCK_BYTES];
        key[..self.digest.len()].copy_from_slice(&self.digest);
        Hmac::new(&key.into())
    }

    /// What proves to know the secret and to mean these parts. Each but the last is of a fixed length.
    pub(super) fn prove(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether this is that proof. Takes as long for any wrong one.
    pub(super) fn is_proof(&self, parts: &[&[u8]], proof: &[u8]) -> bool {
        self.over(parts).verify_slice(proof).is_ok()
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut hmac = self.hmac();
        for part in parts {
            hmac.update(part);
        }
        hmac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_and_an_empty_one_is_none() {
        let secret = Secret::of("swordfish\n").expect("it has a text");
        assert!(!format!("{secret:?}").contains("swordfish"));
        assert!(Secret::of("").is_none() && Secret::of(" \n").is_none());
        assert_eq!(secret.digest, Secret::of("swordfish").expect("it has a text").digest);
    }

    #[test]
    fn a_proof_is_the_hmac_of_rfc_2104() {
        // The key is the digest, so: python3 -c 'import hmac,hashlib as h;
        // print(hmac.new(h.sha256(b"swordfish").digest(), b"ab", "sha256").hexdigest())'
        let secret = Secret::of("swordfish").expect("it has a text");
        let hex: String = secret.prove(&[b"a", b"b"]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "c1ca802f6ff4980b68a278b437af0a876ff6a97c08433f3086b8eb88c66d5313");
        assert!(secret.is_proof(&[b"ab"], &secret.prove(&[b"a", b"b"])));
        assert!(!secret.is_proof(&[b"ab"], &[0; 32]) && !secret.is_proof(&[b"ab"], &[]));
    }
}
