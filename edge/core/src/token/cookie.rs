//! The token as a cookie (RFC 6265): its name, how it is found, set and cleared.

use crate::config::{Brand, Config};
use crate::limits::TOKEN_TTL_MIN;

/// The cookie's name. `__Host-` binds it to the host and to HTTPS; without HTTPS (development) a browser would drop
/// such a cookie, so the name is plain there.
#[must_use]
pub fn name(config: &Config, brand: &Brand) -> String {
    let prefix = if config.secure_cookies { "__Host-" } else { "" };
    format!("{prefix}mf_{}", brand.slug)
}

/// The value of the brand's cookie in a `Cookie` header.
#[must_use]
pub fn find<'a>(header: &'a str, config: &Config, brand: &Brand) -> Option<&'a str> {
    let prefix = if config.secure_cookies { "__Host-" } else { "" };
    header.split(';').find_map(|pair| {
        pair.trim()
            .strip_prefix(prefix)?
            .strip_prefix("mf_")?
            .strip_prefix(brand.slug.as_str())?
            .strip_prefix('=')
    })
}

/// `Set-Cookie` for a sealed token. `SameSite=None` where the edge serves pages of other sites, which needs `Secure`.
#[must_use]
pub fn set(config: &Config, brand: &Brand, value: &str, ttl_s: u32) -> String {
    let site = if config.secure_cookies {
        if brand.origins.is_empty() {
            "Secure; SameSite=Lax"
        } else {
            "Secure; SameSite=None"
        }
    } else {
        "SameSite=Lax"
    };
    format!(
        "{}={value}; Path=/; Max-Age={ttl_s}; HttpOnly; {site}",
        name(config, brand)
    )
}

/// `Set-Cookie` that removes it.
#[must_use]
pub fn clear(config: &Config, brand: &Brand) -> String {
    set(config, brand, "", 0)
}

fn declined_name(config: &Config, brand: &Brand) -> String {
    let prefix = if config.secure_cookies { "__Host-" } else { "" };
    format!("{prefix}mf_no_{}", brand.slug)
}

/// Whether the reader said no on this device. The answer is all this cookie holds.
#[must_use]
pub fn declined(header: &str, config: &Config, brand: &Brand) -> bool {
    let name = declined_name(config, brand);
    header.split(';').any(|pair| {
        pair.trim()
            .split_once('=')
            .is_some_and(|(n, v)| n == name && !v.is_empty())
    })
}

/// `Set-Cookie` that remembers a "no", so that it is not asked for again, or forgets it.
#[must_use]
pub fn decline(config: &Config, brand: &Brand, on: bool) -> String {
    let ttl_s = if on { TOKEN_TTL_MIN * 60 } else { 0 };
    let secure = if config.secure_cookies {
        "; Secure"
    } else {
        ""
    };
    let value = if on { "1" } else { "" };
    format!(
        "{}={value}; Path=/; Max-Age={ttl_s}; HttpOnly; SameSite=Lax{secure}",
        declined_name(config, brand)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    #[test]
    fn the_cookie_is_found_among_others_by_its_exact_name() {
        let mut c = config();
        let b = c.brands[0].clone();
        c.secure_cookies = true;
        let header = "a=1; mf_daily=no; __Host-mf_daily-x=no; __Host-mf_daily=yes";
        assert_eq!(find(header, &c, &b), Some("yes"));
        assert!(
            set(&c, &b, "v", 9)
                .starts_with("__Host-mf_daily=v; Path=/; Max-Age=9; HttpOnly; Secure")
        );
        c.secure_cookies = false;
        assert_eq!(find(header, &c, &b), Some("no"));
        assert!(!set(&c, &b, "v", 9).contains("Secure"));
    }
}
