use super::*;
use crate::deploy::inventory::Host;
use crate::deploy::remote::Remote;
use crate::transport::door::identities;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

#[tokio::test]
async fn a_device_that_joined_runs_scripts_like_any_host() {
    let address = SocketAddr::from(([127, 0, 0, 1], crate::transport::free_ports(1).unwrap()[0]));
    let (controller, device) = identities().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (there, identity, flag) = (address.to_string(), device.clone(), Arc::clone(&stop));
    // It may come before the controller is there.
    let serving = tokio::spawn(async move { serve(&there, &identity, "pi1", flag).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let desk = Desk::open(address, &controller).await.unwrap();
    let joined = desk.wait(1, Duration::from_secs(20)).await;
    assert_eq!(joined.iter().map(|j| j.name.as_str()).collect::<Vec<_>>(), ["pi1"]);
    let remote = Remote::joined(&Host { name: "pi1".to_owned(), ..Host::default() }, joined[0].clone());
    let output = remote.run("echo", "cat; echo no >&2; exit 7", b"yes").await.unwrap();
    assert_eq!((output.code, output.stdout.as_slice(), output.stderr.as_str()), (Some(7), &b"yes"[..], "no"));
    // More than a pipe holds, in both directions; an input that nobody reads; several at a time.
    let much = vec![b'x'; 1 << 20];
    assert_eq!(remote.must("copy", "cat", &much).await.unwrap().len(), much.len());
    assert_eq!(remote.must("ignore", "true", &much).await.unwrap(), b"");
    let both = tokio::join!(remote.must("a", "sleep 0.2; echo a", b""), remote.must("b", "echo b", b""));
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (b"a\n".to_vec(), b"b\n".to_vec()));
    // A process that is dropped ends.
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = format!("cat >/dev/null; echo end > {}", file.path().display());
    drop(remote.start("wait", &script).await.unwrap());
    for _ in 0..200 {
        if std::fs::read(file.path()).unwrap() == b"end\n" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(std::fs::read(file.path()).unwrap(), b"end\n", "its input ended");
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn strangers_do_not_join_and_hold_up_nobody() {
    let address = SocketAddr::from(([127, 0, 0, 1], crate::transport::free_ports(1).unwrap()[0]));
    let (controller, device) = identities().unwrap();
    let desk = Desk::open(address, &controller).await.unwrap();
    let (_, other) = identities().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    for (identity, name) in
        [(other, "stranger"), (controller.clone(), "no-device"), (device.clone(), "no name")]
    {
        let (there, flag) = (address.to_string(), Arc::clone(&stop));
        tokio::spawn(async move { serve(&there, &identity, name, flag).await });
    }
    assert_eq!(desk.wait(1, Duration::from_millis(600)).await.len(), 0);
    let (there, flag) = (address.to_string(), Arc::clone(&stop));
    tokio::spawn(async move { serve(&there, &device, "pi2", flag).await });
    assert_eq!(desk.wait(1, Duration::from_secs(20)).await[0].name, "pi2");
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
}
