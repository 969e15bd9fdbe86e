use super::*;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// What the server does with a connection.
#[derive(Clone, Copy)]
enum Answer {
    /// Gives what is asked for, the range too.
    Right,
    /// The same, but closes the connection after so many bytes.
    Cut(usize),
    /// Gives the whole file, whatever range is asked for.
    Whole,
    /// Another range than was asked for.
    Elsewhere,
    /// No more than a status.
    Status(u16),
}

/// Serves one body on loopback, one answer for each connection; returns the address and the lines of requests
/// and ranges as they come.
fn serve(body: Vec<u8>, answers: &[Answer]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (heard, answers) = (asked.clone(), answers.to_vec());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let range =
                lines.iter().find_map(|line| line.to_lowercase().strip_prefix("range: ").map(String::from));
            let path = lines[0].split(' ').nth(1).unwrap();
            heard.lock().unwrap().push(format!("{path} {}", range.as_deref().unwrap_or("all")));
            let asked =
                range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
            let (status, start) = match (answer, asked) {
                (Answer::Status(status), _) => (status, body.len()),
                (Answer::Whole, _) | (_, None) => (200, 0),
                (Answer::Elsewhere, Some(start)) => (206, start - 1),
                (_, Some(start)) => (206, start),
            };
            let rest = &body[start..];
            let mut head =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n", rest.len());
            if status == 206 {
                head += &format!("Content-Range: bytes {start}-{}/{}\r\n", body.len() - 1, body.len());
            }
            let sent = if let Answer::Cut(bytes) = answer { &rest[..bytes] } else { rest };
            // A client that has seen enough closes the connection: no error of the server.
            let _ = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(sent));
        }
    });
    (base, asked)
}

fn sha(bytes: &[u8]) -> &'static str {
    Box::leak(hash(bytes).unwrap().0.into_boxed_str())
}

fn plain(bytes: &[u8]) -> File {
    file("set/data.txt", bytes)
}

/// A file whose right content is known.
fn file(path: &'static str, content: &[u8]) -> File {
    let bytes = Some(content.len() as u64);
    File { path, url: "http://127.0.0.1:9/nowhere", sha256: Some(sha(content)), bytes, tried: false }
}

fn body() -> Vec<u8> {
    (0..200_000u32).map(|i| (i * 7 + i / 251) as u8).collect()
}

struct Case {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    result: Result<Fetched, FetchError>,
}

fn fetch(file: &File, body: &[u8], answers: &[Answer], part: &[u8]) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let (base, asked) = serve(body.to_vec(), answers);
    if !part.is_empty() {
        std::fs::create_dir(dir.path().join("set")).unwrap();
        std::fs::write(dir.path().join(format!("{}.part", file.path)), part).unwrap();
    }
    let fetch = Fetch { to: dir.path().to_owned(), base: Some(base), patience: Duration::ZERO };
    let mut last = 0;
    let result = fetch.file(file, &mut |done, total| {
        assert!(total.is_none_or(|total| done <= total));
        last = done;
    });
    if let Ok(Fetched::Now { bytes, .. }) = &result {
        assert_eq!(last, *bytes);
    }
    Case { dir, asked, result }
}

impl Case {
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join("set")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn error(&self) -> String {
        self.result.as_ref().unwrap_err().to_string()
    }
}

#[test]
fn a_file_is_downloaded_once() {
    let body = body();
    let case = fetch(&plain(&body), &body, &[Answer::Right], &[]);
    let now = Fetched::Now { bytes: body.len() as u64, unpacked: 0, checked: true };
    assert_eq!(case.result.as_ref().unwrap(), &now);
    assert_eq!(std::fs::read(case.dir.path().join("set/data.txt")).unwrap(), body);
    assert_eq!(
        (case.names(), case.asked()),
        (vec!["data.txt".to_owned()], vec!["/set/data.txt all".to_owned()])
    );
    // There is no server any more.
    let again = Fetch { to: case.dir.path().to_owned(), base: None, patience: Duration::ZERO };
    assert_eq!(again.file(&plain(&body), &mut |_, _| ()).unwrap(), Fetched::Before);
}

#[test]
fn a_transfer_that_breaks_off_is_continued() {
    let body = body();
    let answers = [Answer::Cut(70_000), Answer::Status(503), Answer::Cut(30_000), Answer::Right];
    let case = fetch(&plain(&body), &body, &answers, &[]);
    assert!(case.result.is_ok(), "{}", case.error());
    let ranges: Vec<String> =
        case.asked().iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(ranges, ["all", "bytes=70000-", "bytes=70000-", "bytes=100000-"]);
    // From an earlier command.
    let case = fetch(&plain(&body), &body, &[Answer::Right], &body[..1234]);
    assert!(case.result.is_ok() && case.asked() == ["/set/data.txt bytes=1234-"]);
    assert_eq!(std::fs::read(case.dir.path().join("set/data.txt")).unwrap(), body);
}

#[test]
fn servers_that_know_no_ranges_give_the_whole_again() {
    let body = body();
    for answers in
        [&[Answer::Whole][..], &[Answer::Elsewhere, Answer::Right], &[Answer::Status(416), Answer::Right]]
    {
        let case = fetch(&plain(&body), &body, answers, &body[..99]);
        assert!(case.result.is_ok(), "{}", case.error());
        assert_eq!(std::fs::read(case.dir.path().join("set/data.txt")).unwrap(), body);
    }
}

#[test]
fn a_wrong_file_is_removed_and_refused() {
    let body = body();
    let mut other = body.clone();
    other[5] ^= 1;
    for (served, parts) in [
        (&other[..], ["has the SHA-256", "expected"]),
        (&body[..100], ["holds 100 bytes; expected 200000", "it is removed"]),
        (&[body.clone(), vec![1]].concat()[..], ["goes on after the 200000 bytes", "set/data.txt"]),
    ] {
        let case = fetch(&plain(&body), served, &[Answer::Right], &[]);
        assert!(parts.iter().all(|part| case.error().contains(part)), "{}", case.error());
        assert_eq!(case.names(), Vec::<String>::new());
    }
    // A damaged file in place is fetched again.
    let case = fetch(&plain(&body), &body, &[Answer::Right, Answer::Right], &[]);
    std::fs::write(case.dir.path().join("set/data.txt"), "damaged").unwrap();
    let (base, _) = serve(body.clone(), &[Answer::Right]);
    let again = Fetch { to: case.dir.path().to_owned(), base: Some(base), patience: Duration::ZERO };
    assert!(matches!(again.file(&plain(&body), &mut |_, _| ()).unwrap(), Fetched::Now { .. }));
}

#[test]
fn what_the_server_refuses_is_told_at_once_and_what_breaks_after_some_attempts() {
    let body = body();
    let case = fetch(&plain(&body), &body, &[Answer::Status(404)], &[]);
    assert!(case.error().contains("/set/data.txt answers 404"), "{}", case.error());
    let case = fetch(&plain(&body), &body, &[Answer::Status(500); 4], &[]);
    assert!(case.error().contains("4 attempts in a row"), "{}", case.error());
    let case =
        fetch(&plain(&body), &body, &[Answer::Cut(500), Answer::Cut(0), Answer::Cut(0), Answer::Cut(0)], &[]);
    assert!(case.error().contains("4 attempts"), "{}", case.error());
    assert_eq!(case.names(), ["data.txt.part"], "the next command goes on from there");
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_hash_of_a_gz_is_that_of_its_content() {
    let body = body();
    let file = file("set/data.gz", &body);
    assert!(fetch(&file, &gz(&body), &[Answer::Right], &[]).result.is_ok());
    let case = fetch(&file, &gz(&body[1..]), &[Answer::Right], &[]);
    assert!(case.error().contains("holds 199999 bytes"), "{}", case.error());
    let case = fetch(&file, &gz(&body)[..500], &[Answer::Right], &[]);
    assert!(case.error().contains("cannot be unpacked"), "{}", case.error());
}

/// A tar of files with these names, written without the checks of the crate.
fn tar_of(names: &[&str], kind: tar::EntryType) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in names {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(if kind.is_file() { 5 } else { 0 });
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, if kind.is_file() { &b"hello"[..] } else { &[] }).unwrap();
    }
    gz(&builder.into_inner().unwrap())
}

fn zip_of(names: &[&str]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in names {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(b"hello").unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn archives_are_unpacked_within_their_folder() {
    let regular = tar::EntryType::Regular;
    let names = ["a.bin", "deep/er/b.bin"];
    for (path, bytes) in [("set/x.tar.gz", tar_of(&names, regular)), ("set/x.zip", zip_of(&names))] {
        let case = fetch(&file(path, &bytes), &bytes, &[Answer::Right], &[]);
        assert!(matches!(case.result, Ok(Fetched::Now { unpacked: 2, .. })), "{:?}", case.result);
        let at = |name: &str| std::fs::read(case.dir.path().join("set").join(name)).unwrap();
        assert_eq!((at("a.bin"), at("deep/er/b.bin")), (b"hello".to_vec(), b"hello".to_vec()));
    }
    for (path, bytes) in [
        ("set/x.tar.gz", tar_of(&["../b.bin"], regular)),
        ("set/x.tar.gz", tar_of(&["/b.bin"], regular)),
        ("set/x.tar.gz", tar_of(&["b.bin"], tar::EntryType::Symlink)),
        ("set/x.zip", zip_of(&["ok.bin", "../b.bin"])),
        ("set/x.zip", zip_of(&["..\\b.bin"])),
    ] {
        let case = fetch(&file(path, &bytes), &bytes, &[Answer::Right], &[]);
        let error = case.error();
        assert!(
            error.contains("b.bin`") && (error.contains("outside") || error.contains("neither")),
            "{error}"
        );
        assert!(!case.dir.path().join("b.bin").exists());
        assert!(!case.dir.path().join(path).exists(), "an archive that is not unpacked gets no name");
    }
    let bytes = b"no archive".to_vec();
    for path in ["set/x.tar.gz", "set/x.zip"] {
        let case = fetch(&file(path, &bytes), &bytes, &[Answer::Right], &[]);
        assert!(case.error().contains("cannot be unpacked"), "{}", case.error());
    }
}

#[test]
fn a_file_of_which_nothing_is_known_is_taken_as_it_comes() {
    let unknown = File { sha256: None, bytes: None, ..plain(&[]) };
    let case = fetch(&unknown, b"anything", &[Answer::Right], &[]);
    assert!(matches!(case.result, Ok(Fetched::Now { checked: false, .. })));
}
