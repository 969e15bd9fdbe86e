//! Parquet, as little of it as a table of numbers needs.
//!
//! One row group, one page for each column, plain encoding, no compression, every column optional; the footer is
//! Thrift's compact protocol by hand (github.com/apache/parquet-format: README and parquet.thrift). The `parquet`
//! crate would bring several dozen others for the same bytes.

use super::super::sheet::{Sheet, Values};

const MAGIC: &[u8] = b"PAR1";

/// A table as the bytes of a file.
#[must_use]
pub fn file(sheet: &Sheet) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let mut chunks = Vec::new();
    for (name, values) in &sheet.columns {
        let page = page(values);
        let offset = bytes.len();
        bytes.extend(page_header(values.len(), page.len()));
        bytes.extend(page);
        chunks.push(Chunk { name, values, offset, size: bytes.len() - offset });
    }
    let footer = footer(sheet, &chunks);
    let length = (footer.len() as u32).to_le_bytes();
    bytes.extend(footer);
    bytes.extend(length);
    bytes.extend(MAGIC);
    bytes
}

/// A column in the file.
struct Chunk<'a> {
    name: &'a str,
    values: &'a Values,
    offset: usize,
    size: usize,
}

/// Which values there are (a bit each), then the values.
fn page(values: &Values) -> Vec<u8> {
    let (present, plain): (Vec<bool>, Vec<u8>) = match values {
        Values::Float(values) => split(values, |value, bytes| bytes.extend(value.to_le_bytes())),
        Values::Whole(values) => split(values, |value, bytes| bytes.extend(value.to_le_bytes())),
        Values::Text(values) => split(values, |value, bytes| {
            bytes.extend((value.len() as u32).to_le_bytes());
            bytes.extend(value.as_bytes());
        }),
    };
    // Definition levels: one bit-packed run of groups of eight.
    let groups = present.len().div_ceil(8);
    let mut levels = Vec::new();
    varint(&mut levels, (groups as u64) << 1 | 1);
    for eight in present.chunks(8) {
        levels.push(eight.iter().enumerate().fold(0, |byte, (bit, there)| byte | u8::from(*there) << bit));
    }
    let mut page = (levels.len() as u32).to_le_bytes().to_vec();
    page.extend(levels);
    page.extend(plain);
    page
}

fn split<T>(values: &[Option<T>], write: impl Fn(&T, &mut Vec<u8>)) -> (Vec<bool>, Vec<u8>) {
    let mut plain = Vec::new();
    for value in values.iter().flatten() {
        write(value, &mut plain);
    }
    (values.iter().map(Option::is_some).collect(), plain)
}

fn page_header(rows: usize, size: usize) -> Vec<u8> {
    let mut thrift = Thrift::default();
    thrift.number(1, 0); // a data page
    thrift.number(2, size as i64);
    thrift.number(3, size as i64);
    thrift.object(5, |page| {
        page.number(1, rows as i64);
        page.number(2, 0); // plain
        page.number(3, 3); // definition levels: runs
        page.number(4, 3); // repetition levels: runs (there are none)
    });
    thrift.end()
}

fn footer(sheet: &Sheet, chunks: &[Chunk<'_>]) -> Vec<u8> {
    let mut thrift = Thrift::default();
    thrift.number(1, 1); // version of the format
    thrift.objects(2, chunks.len() + 1, |i, element| {
        if i == 0 {
            element.text(4, "table");
            element.number(5, chunks.len() as i64);
            return;
        }
        let chunk = &chunks[i - 1];
        element.number(1, kind(chunk.values));
        element.number(3, 1); // optional
        element.text(4, chunk.name);
        if matches!(chunk.values, Values::Text(_)) {
            element.number(6, 0); // UTF-8
        }
    });
    thrift.long(3, sheet.rows() as i64);
    thrift.objects(4, 1, |_, group| {
        group.objects(1, chunks.len(), |i, column| column_chunk(&chunks[i], column));
        group.long(2, chunks.iter().map(|chunk| chunk.size as i64).sum());
        group.long(3, sheet.rows() as i64);
    });
    thrift.text(6, concat!("hcddl version ", env!("CARGO_PKG_VERSION")));
    thrift.end()
}

fn column_chunk(chunk: &Chunk<'_>, column: &mut Thrift) {
    column.long(2, chunk.offset as i64);
    column.object(3, |data| {
        data.number(1, kind(chunk.values));
        data.numbers(2, &[0, 3]); // plain, runs
        data.texts(3, &[chunk.name]);
        data.number(4, 0); // not compressed
        data.long(5, chunk.values.len() as i64);
        data.long(6, chunk.size as i64);
        data.long(7, chunk.size as i64);
        data.long(9, chunk.offset as i64);
    });
}

/// INT64, DOUBLE or BYTE_ARRAY.
fn kind(values: &Values) -> i64 {
    match values {
        Values::Whole(_) => 2,
        Values::Float(_) => 5,
        Values::Text(_) => 6,
    }
}

/// A structure in Thrift's compact protocol; fields must come in ascending order.
#[derive(Default)]
struct Thrift {
    bytes: Vec<u8>,
    last: u8,
}

impl Thrift {
    fn field(&mut self, number: u8, kind: u8) {
        self.bytes.push((number - self.last) << 4 | kind);
        self.last = number;
    }

    fn number(&mut self, number: u8, value: i64) {
        self.field(number, 5);
        varint(&mut self.bytes, zigzag(value));
    }

    fn long(&mut self, number: u8, value: i64) {
        self.field(number, 6);
        varint(&mut self.bytes, zigzag(value));
    }

    fn text(&mut self, number: u8, text: &str) {
        self.field(number, 8);
        self.plain_text(text);
    }

    fn plain_text(&mut self, text: &str) {
        varint(&mut self.bytes, text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }

    fn list(&mut self, number: u8, kind: u8, len: usize) {
        self.field(number, 9);
        if len < 15 {
            self.bytes.push((len as u8) << 4 | kind);
        } else {
            self.bytes.push(0xf0 | kind);
            varint(&mut self.bytes, len as u64);
        }
    }

    fn numbers(&mut self, number: u8, values: &[i64]) {
        self.list(number, 5, values.len());
        for value in values {
            varint(&mut self.bytes, zigzag(*value));
        }
    }

    fn texts(&mut self, number: u8, texts: &[&str]) {
        self.list(number, 8, texts.len());
        for text in texts {
            self.plain_text(text);
        }
    }

    fn object(&mut self, number: u8, write: impl FnOnce(&mut Thrift)) {
        self.field(number, 12);
        let mut inner = Thrift::default();
        write(&mut inner);
        self.bytes.extend(inner.end());
    }

    fn objects(&mut self, number: u8, len: usize, write: impl Fn(usize, &mut Thrift)) {
        self.list(number, 12, len);
        for i in 0..len {
            let mut inner = Thrift::default();
            write(i, &mut inner);
            self.bytes.extend(inner.end());
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Up to the version of this crate, near the end.
    const GOLDEN: &str = "
        504152311500152c152c2c150615001506150600000200000003050100000000000000fdffffffffffffff1500152215
        222c15061500150615060000020000000303010000007802000000797a1502193c48057461626c651504001504250218
        016100150c25021801622500001606191c192c26081c1504192500061918016115001606164e164e2608000026561c15
        0c192500061918016215001606164416442656000016920116060028
    ";

    /// The bytes that pyarrow 26.0.1 and DuckDB 2.0.0 read as `a = [1, NULL, -3], b = ['x', 'yz', NULL]`.
    #[test]
    fn golden_bytes() {
        let sheet = Sheet {
            name: "t".to_owned(),
            columns: vec![
                ("a".to_owned(), Values::Whole(vec![Some(1), None, Some(-3)])),
                ("b".to_owned(), Values::Text(vec![Some("x".to_owned()), Some("yz".to_owned()), None])),
            ],
        };
        let bytes = file(&sheet);
        let hex = hcddl_core::domain::text::hex(&bytes);
        assert!(hex.starts_with(&GOLDEN.replace([' ', '\n'], "")), "{hex}");
        let length = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
        assert!(bytes.starts_with(MAGIC) && bytes.ends_with(MAGIC) && length < bytes.len());
    }
}
