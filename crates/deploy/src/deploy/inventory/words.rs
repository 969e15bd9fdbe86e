//! Words as a shell splits them.

/// Splits a line at white space. Quotes and backslashes keep it together; `#` begins a comment.
///
/// # Errors
/// A message when a quote is not closed.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '#' => break,
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' | '"' => {
                let into = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err(format!("a quote {c} is not closed")),
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => into.extend(escaped(chars.next())),
                        Some(inside) => into.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Within double quotes a backslash protects a quote and itself, and stands for itself elsewhere.
fn escaped(c: Option<char>) -> impl Iterator<Item = char> {
    let keeps = !matches!(c, Some('"' | '\\'));
    keeps.then_some('\\').into_iter().chain(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let all = |line| split(line).unwrap().join("|");
        assert_eq!(all("a  b=c # d"), "a|b=c");
        assert_eq!(all(r#"a="x y" b='-o "Z=1"' c=\ d"#), r#"a=x y|b=-o "Z=1"|c= d"#);
        assert_eq!(all(r#""a\"b\n" ''"#), r#"a"b\n|"#);
        assert!(split("a 'b").is_err());
    }
}
