//! Text of others: as other programs save it (byte order marks, line ends, separators), and made harmless where it is
//! shown, since names and messages come from run directories and devices.

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The text of a file: UTF-8 without a byte order mark, lines that end in `\n` whatever they ended in.
///
/// # Errors
/// What the file is instead, to be put behind its name.
pub fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes[..] {
        return Err("is UTF-16; save it as UTF-8".to_owned());
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8: byte {}", error.utf8_error().valid_up_to()))?;
    Ok(unified(text))
}

/// A text without its byte order mark, lines that end in `\n`.
#[must_use]
pub fn unified(text: String) -> String {
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}

/// The separators that tables are written with, the usual one first.
pub const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// Lines that [`separator`] looks at.
const LINES_SEEN: usize = 20;

/// What parts the columns of a table: the one separator that its first line has; of several the only one that parts
/// all of the first lines alike. A table without any has one column.
///
/// # Errors
/// The separators that it could be.
pub fn separator(text: &str) -> Result<char, Vec<char>> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(LINES_SEEN);
    let Some(first) = lines.next() else { return Ok(',') };
    let found: Vec<char> = SEPARATORS.into_iter().filter(|c| count(first, *c) > 0).collect();
    if let [] | [_] = found[..] {
        return Ok(found.first().copied().unwrap_or(','));
    }
    let rest: Vec<&str> = lines.collect();
    // Rows may begin with a name that the header does not have.
    let alike = |c: &char| {
        let columns = count(first, *c);
        rest.iter().all(|line| (columns..=columns + 1).contains(&count(line, *c)))
    };
    let fitting: Vec<char> = found.iter().copied().filter(alike).collect();
    if let [only] = fitting[..] { Ok(only) } else { Err(if fitting.is_empty() { found } else { fitting }) }
}

/// How often a character comes outside of quotes.
fn count(line: &str, wanted: char) -> usize {
    let mut quoted = false;
    line.chars()
        .filter(|c| {
            quoted ^= *c == '"';
            !quoted && *c == wanted
        })
        .count()
}

/// Whether a character is not seen but changes how others are shown: control characters (which move a terminal's
/// cursor, colour it or forge lines) and those that turn the direction of writing around.
fn hides(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with a mark in the place of every character that hides something; line breaks and tabs stay.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if hides(c) && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}

/// As [`visible`], for what is part of a line: line breaks and tabs are marked too.
#[must_use]
pub fn in_line(text: &str) -> String {
    text.chars().map(|c| if hides(c) { '\u{fffd}' } else { c }).collect()
}

/// As [`in_line`], so many characters at most.
#[must_use]
pub fn in_cell(text: &str, width: usize) -> String {
    let text = in_line(text);
    match text.char_indices().nth(width) {
        None => text,
        Some(_) => text.chars().take(width.saturating_sub(3)).collect::<String>() + "...",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        let hostile = "a\x1b[2Jb\u{9b}c\rd\u{202e}e\u{2066}f\u{2028}\ng\th";
        let mark = char::REPLACEMENT_CHARACTER;
        assert_eq!(visible(hostile), format!("a{mark}[2Jb{mark}c{mark}d{mark}e{mark}f{mark}\ng\th"));
        assert_eq!(in_line("a\nerror: b\t"), format!("a{mark}error: b{mark}"));
        assert_eq!(in_line("wärme → 5 °C"), "wärme → 5 °C");
        assert_eq!(
            (in_cell("abcdefgh", 6), in_cell("abcdef", 6)),
            ("abc...".to_owned(), "abcdef".to_owned())
        );
    }

    #[test]
    fn marks_and_line_ends_are_not_text() {
        assert_eq!(decode(b"\xef\xbb\xbfa\r\nb\rc\n".to_vec()).unwrap(), "a\nb\nc\n");
        assert_eq!(decode("a\u{feff}".into()).unwrap(), "a\u{feff}", "only at the start");
        assert!(decode(b"\xff\xfea\0".to_vec()).unwrap_err().contains("UTF-16"));
        assert_eq!(decode(b"ab\xff".to_vec()).unwrap_err(), "is not UTF-8: byte 2");
    }

    #[test]
    fn a_separator_is_found_or_doubtful() {
        for (text, expected) in [
            ("a,b\n1,2\n", Ok(',')),
            ("a;b\n1,5;2,5\n", Ok(';')),
            ("1,5;2;x\n1;2;y\n", Ok(';')),
            ("a\tb\n", Ok('\t')),
            ("\"a;b\",c\n", Ok(',')),
            ("a\n1\n", Ok(',')),
            ("", Ok(',')),
            ("x,y\nr1,1,2\n", Ok(',')),
            ("1,5;2\n2,5;3\n", Err(vec![',', ';'])),
        ] {
            assert_eq!(separator(text), expected, "{text:?}");
        }
    }
}
