//! Which names a mistyped one may mean.

/// Most names that are suggested.
pub const MAX_SUGGESTIONS: usize = 3;
/// From where on two names are alike, of 1.
const ALIKE: f64 = 0.8;

/// The names that are most like `text`, the likest first.
#[must_use]
pub fn near<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let alike = |name: &'a str| (strsim::jaro_winkler(text, name), name);
    let mut near: Vec<_> = names.into_iter().map(alike).filter(|(alike, _)| *alike >= ALIKE).collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    near.dedup();
    near.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

/// The question behind a complaint: `did you mean "a" or "b"?`; `None` if nothing is near.
#[must_use]
pub fn question(near: &[String]) -> Option<String> {
    let quoted: Vec<_> = near.iter().map(|name| format!("{name:?}")).collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", quoted.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_comes_first_and_what_is_unlike_never() {
        let names = ["cron.service", "nginx.service", "nginx-debug.service", "nginx.service"];
        assert_eq!(near("nginx", names), ["nginx.service", "nginx-debug.service"]);
        assert_eq!(near("zzz", names), [""; 0]);
        assert_eq!(
            question(&near("nginx", names)).unwrap(),
            r#"did you mean "nginx.service" or "nginx-debug.service"?"#
        );
        assert_eq!(question(&[]), None);
    }
}
