//! The oldest Python a project supports, as its `pyproject.toml` says it.

use aether_rules::PythonVersion;

/// The lower bound of a `requires-python` like `>=3.9,<4` or `~=3.10`; `None` when it states none.
pub(crate) fn lower_bound(specifiers: &str) -> Option<PythonVersion> {
    specifiers.split(',').filter_map(bound).max()
}

fn bound(specifier: &str) -> Option<PythonVersion> {
    // `>3.9` allows 3.9.1; only `>3.9.99` would not, and nobody means that.
    let operators = ["===", "==", ">=", "~=", ">"];
    let version = operators.iter().find_map(|operator| specifier.trim().strip_prefix(operator))?;
    let mut parts = version.trim().split('.');
    if parts.next() != Some("3") {
        return None;
    }
    let minor = parts.next().unwrap_or("0").trim();
    let minor = if minor == "*" { 0 } else { minor.parse().ok()? };
    Some(PythonVersion::three(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_bound_is_the_highest_of_the_lower_bounds() {
        let minor = |text| lower_bound(text).map(|version| version.minor);
        assert_eq!(minor(">=3.9"), Some(9));
        assert_eq!(minor(" >= 3.10 , < 4 "), Some(10));
        assert_eq!(minor("~=3.11.2"), Some(11));
        assert_eq!(minor("==3.12.*"), Some(12));
        assert_eq!(minor(">3.8,>=3.13"), Some(13));
        assert_eq!(minor(">=3"), Some(0));
        assert_eq!(minor("<4"), None);
        assert_eq!(minor("!=3.9.1"), None);
        assert_eq!(minor(">=2.7"), None);
        assert_eq!(minor(""), None);
    }
}
