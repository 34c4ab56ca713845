//! What the book stores about the configuration.

use super::*;
use crate::config;

#[test]
fn the_book_knows_the_classes_that_the_service_tells_apart() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("trafcalc.toml");
    std::fs::write(&config, "[[class]]\nname = 'lan'\nnetworks = ['10.0.0.0/8']\n").unwrap();
    let overrides = config::Overrides { config: Some(config), ..config::Overrides::default() };
    let noted: Value = serde_json::from_str(&opening::counted(&config::resolve(&overrides).unwrap())).unwrap();
    assert_eq!(noted["classes"], serde_json::json!(["internet", "lan"]));
}
