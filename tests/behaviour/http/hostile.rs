//! Clients that are slow, broken or rude: each costs nothing but its own time, and none changes what is counted.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::client::{Metrics, PATIENCE, address_of, ask, comes_to, get, metrics_come_to, read_answer, send};
use super::{follow, likes, place};
use crate::recount;

pub(super) fn connect(address: SocketAddr, begin: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(begin);
    Some(stream)
}

/// Waits until the other end has closed it.
pub(super) fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    !matches!(stream.read_to_end(&mut rest), Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut))
}

#[test]
fn whoever_asks_and_however_changes_nothing() {
    let place = place();
    let mut run = follow(&place, "sqlite:items.db", &["-w", "2"]);
    let address = address_of(&run);
    run.write(&likes(0..100));
    metrics_come_to(address, "they are counted", |metrics| metrics.value("events_total") == 100.0);
    let files = run.open_files();

    // Heads that do not end, byte by byte or not at all, on all connections that there are.
    let head = b"GET /status HTTP/1.1\r\nHost: localhost\r\nX: ";
    let mut slow: Vec<_> = (0..32).filter_map(|_| connect(address, head)).collect();
    for path in ["/live", "/ready", "/metrics"] {
        assert_eq!(get(address, path).status, 200, "nobody who only waits keeps a probe out");
    }
    run.write(&likes(100..200));
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(200));
        slow.iter_mut().for_each(|stream| drop(stream.write_all(b"x")));
    }
    assert!(slow.iter_mut().all(is_closed), "they are closed when their time is up");
    comes_to(address, "/live", 200, "ok");

    // One more than may be, many times.
    let mut many: Vec<_> = (0..500).filter_map(|_| connect(address, b"")).collect();
    assert!(run.open_files() < files + 64, "{} files are open", run.open_files());
    run.write(&likes(200..300));
    assert!(many.iter_mut().all(is_closed));
    comes_to(address, "/live", 200, "ok");

    // Heads that are too long, what is no HTTP, and what only looks like it.
    let long = [b"GET /live HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; 1 << 20]].concat();
    assert!(send(address, &long).is_none_or(|answer| answer.status == 431));
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    assert!(send(address, path.as_bytes()).is_none_or(|answer| [414, 431].contains(&answer.status)));
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\nhello\r\n\r\n",
    ] {
        assert!(connect(address, nonsense).is_none_or(|mut stream| {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            read_answer(&mut stream).is_none_or(|answer| answer.status == 400)
        }));
    }
    // Who asks and does not read, goes away, or says no more.
    drop(
        (0..20)
            .filter_map(|_| connect(address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .collect::<Vec<_>>(),
    );
    let half = connect(address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    half.as_ref().inspect(|half| drop(half.shutdown(std::net::Shutdown::Write)));
    let unread: Vec<_> = (0..10)
        .filter_map(|_| connect(address, &b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100)))
        .collect();
    let body = b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n";
    assert!(send(address, &[body.as_slice(), &[b'x'; 100_000]].concat()).is_none_or(|answer| answer.status == 405));
    comes_to(address, "/live", 200, "ok");
    drop((half, unread));

    run.write(&likes(300..400));
    metrics_come_to(address, "all are counted", |metrics| metrics.value("events_total") == 400.0);
    assert_eq!(Metrics::of(address).value("live"), 1.0);
    run.close_stdin();
    run.end().exits(0);
    let items = recount::items(&place.run(&["dump", "sqlite:items.db"]).exits(0).stdout);
    assert_eq!(items.len(), 400);
}

#[test]
fn only_what_is_there_can_be_read_and_nothing_written() {
    let place = place();
    let mut run = follow(&place, "sqlite:items.db", &[]);
    let address = address_of(&run);
    for path in ["/nothing", "/metrics/", "/../etc/passwd", "/%2e%2e/etc/passwd", "/p.toml", "/live/x", "//"] {
        assert_eq!(get(address, path).status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/", "/metrics", "/live", "/ready", "/status", "/get?group=user&key=1"] {
            let answer = ask(address, method, path).expect("an answer");
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
    let page = get(address, "/");
    assert!(page.status == 200 && page.body.starts_with("<!doctype html>"), "{page:?}");
    for header in [
        "content-security-policy: default-src 'none'",
        "connect-src 'self'",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
    ] {
        assert!(page.head.to_lowercase().contains(header), "{header}: {}", page.head);
    }
    let stranger = send(address, b"GET /status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(stranger.status, 403, "a name that somebody else has given this machine");
    run.close_stdin();
    run.end().exits(0);
}
