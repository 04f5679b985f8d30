//! The secrets of an edge.

use super::ConfigError;
use core::fmt;

/// A key that seals and opens tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenKey {
    /// Names the key inside a token.
    pub kid: u8,
    /// 256 bits.
    pub key: [u8; 32],
}

/// All secrets. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The first seals, all open: put a new key first, drop the old one after 180 days.
    pub tokens: Vec<TokenKey>,
    /// Turns a reader id into a pseudonym.
    pub reader: [u8; 32],
    /// Signs exposure ids (SipHash-2-4).
    pub exposure: [u8; 16],
    /// Verifies a publisher's login assertions.
    pub login: [u8; 32],
    /// What the edge shows the origin.
    pub edge_token: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys(kids")?;
        for k in &self.tokens {
            write!(f, " {}", k.kid)?;
        }
        f.write_str(")")
    }
}

impl Keys {
    /// Reads the secrets.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable.
    pub fn from_vars(lookup: &impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = |name, remedy| lookup(name).ok_or(ConfigError::Missing { name, remedy });
        let name = "MEDIAFLOW_TOKEN_KEYS";
        let invalid = |reason: &str| ConfigError::Invalid {
            name,
            reason: reason.to_owned(),
        };
        let mut tokens: Vec<TokenKey> = Vec::new();
        for part in text(
            name,
            "set kid:64hex,kid:64hex; `mediaflow keys rotate` makes one",
        )?
        .split(',')
        {
            let (kid, key) = part
                .trim()
                .split_once(':')
                .ok_or_else(|| invalid("not kid:64hex"))?;
            let kid = kid
                .parse()
                .map_err(|_| invalid("kid is not a number from 0 to 255"))?;
            let key = hex(key).ok_or_else(|| invalid("a key is not 64 hexadecimal digits"))?;
            if tokens.iter().any(|t| t.kid == kid) {
                return Err(invalid("the same kid twice"));
            }
            tokens.push(TokenKey { kid, key });
        }
        Ok(Self {
            tokens,
            reader: secret(lookup, "MEDIAFLOW_READER_KEY", "set 64 hexadecimal digits")?,
            exposure: secret(
                lookup,
                "MEDIAFLOW_EXPOSURE_KEY",
                "set 32 hexadecimal digits",
            )?,
            login: secret(lookup, "MEDIAFLOW_LOGIN_KEY", "set 64 hexadecimal digits")?,
            edge_token: text(
                "MEDIAFLOW_EDGE_TOKEN",
                "set the token that the origin expects of its edges",
            )?,
        })
    }
}

fn secret<const N: usize>(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    remedy: &'static str,
) -> Result<[u8; N], ConfigError> {
    let text = lookup(name).ok_or(ConfigError::Missing { name, remedy })?;
    hex(text.trim()).ok_or_else(|| ConfigError::Invalid {
        name,
        reason: format!("not {} hexadecimal digits", N * 2),
    })
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let b = text.as_bytes();
    if b.len() != N * 2 {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16);
    let mut out = [0u8; N];
    for (o, pair) in out.iter_mut().zip(b.chunks_exact(2)) {
        *o = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(out)
}
