//! Addresses to countries and regions, by a database the operator brings. Addresses are never kept.

use maxminddb::{Reader, path};
use std::net::IpAddr;
use std::path::Path;

use super::facts::Facts;
use crate::error::{IngestError, IngestResult};

/// A geography database in MaxMind's format (GeoLite2 or GeoIP2, Country or City), read into memory.
pub struct Places(Reader<Vec<u8>>);

impl Places {
    /// Reads a `.mmdb` file.
    ///
    /// # Errors
    /// [`IngestError::Config`] when it cannot be read or is no such database.
    pub fn open(file: &Path) -> IngestResult<Self> {
        let name = format!("geo_database = {}", file.display());
        let reader = Reader::open_readfile(file)
            .map_err(|e| IngestError::config(name.clone(), format!("cannot be read: {e}")))?;
        let kind = &reader.metadata().database_type;
        if kind.contains("Country") || kind.contains("City") || kind.contains("Enterprise") {
            Ok(Self(reader))
        } else {
            Err(IngestError::config(
                name,
                format!("is a {kind} database; use a Country or City one"),
            ))
        }
    }

    /// Country and region of an address: nothing finer is read. Unknown and private addresses have none.
    #[must_use]
    pub fn facts(&self, address: IpAddr) -> Facts {
        let Ok(found) = self.0.lookup(address) else {
            return Facts::default();
        };
        let country: Option<String> = found
            .decode_path(&path!["country", "iso_code"])
            .ok()
            .flatten();
        let part: Option<String> = found
            .decode_path(&path!["subdivisions", 0, "iso_code"])
            .ok()
            .flatten();
        let region = country
            .as_ref()
            .zip(part)
            .map(|(c, part)| format!("{c}-{part}"));
        Facts {
            country,
            region,
            ..Facts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn data(test: &str, file: &str) -> Option<PathBuf> {
        let root = std::env::var("MEDIAFLOW_DATA").map_or_else(
            |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
            PathBuf::from,
        );
        let path = root.join(file);
        if !path.exists() {
            println!("SKIPPED: {test}: {} is not here", path.display());
            return None;
        }
        Some(path)
    }

    #[test]
    fn every_network_of_the_truth_has_its_country_and_region() {
        let test = "every_network_of_the_truth_has_its_country_and_region";
        for name in ["GeoLite2-City-Test", "GeoLite2-Country-Test"] {
            let (Some(db), Some(truth)) = (
                data(test, &format!("maxmind/{name}.mmdb")),
                data(test, &format!("maxmind/{name}.json")),
            ) else {
                return;
            };
            let places = Places::open(&db).unwrap();
            let truth: Vec<serde_json::Map<String, serde_json::Value>> =
                serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
            let mut checked = 0;
            for (network, says) in truth.iter().flatten() {
                let address: IpAddr = network.split('/').next().unwrap().parse().unwrap();
                let f = places.facts(address);
                let country = says["country"]["iso_code"].as_str();
                assert_eq!(f.country.as_deref(), country, "{network}");
                let part = says["subdivisions"][0]["iso_code"].as_str();
                let region = country.zip(part).map(|(c, p)| format!("{c}-{p}"));
                assert_eq!(f.region, region, "{network}");
                checked += 1;
            }
            println!("{name}: {checked} networks");
            assert!(checked > 100, "{checked}");
            assert_eq!(places.facts([127, 0, 0, 1].into()), Facts::default());
        }
    }

    #[test]
    fn what_is_no_database_is_refused_by_name() {
        let e = Places::open(Path::new("Cargo.toml"))
            .err()
            .unwrap()
            .to_string();
        assert!(e.contains("geo_database"), "{e}");
    }
}
