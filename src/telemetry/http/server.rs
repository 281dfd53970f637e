//! The connections: few, short, and none of them trusted.
//!
//! All of it is on one thread of its own, so whoever asks, and however, takes nothing from the workers but a share of a processor. A client gets as
//! much as is stated here, and no more: one request per connection, a short head, a short time.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::Pages;
use super::routes::{GETS_AT_ONCE, router};

/// So many connections at once, at most: for one more the oldest is closed, so nobody who only waits keeps a probe out.
const MOST_CONNECTIONS: usize = 32;
/// The line and the headers of a request have so many bytes, at most.
const MOST_HEAD_BYTES: usize = 8 << 10;
/// And come within this.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// A connection takes no longer, whatever its client does.
const ALL_WITHIN: Duration = Duration::from_secs(30);
/// How long it is waited where the system has no more connections to give.
const PAUSE: Duration = Duration::from_millis(100);
/// How often what cannot be told at one moment is looked at.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// Serves until it is dropped.
pub struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Serves these pages to whoever connects.
    pub fn start(listener: StdListener, pages: Arc<dyn Pages>) -> io::Result<HttpServer> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime =
            Builder::new_current_thread().enable_io().enable_time().max_blocking_threads(GETS_AT_ONCE).build()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let router = router(Arc::clone(&pages), address.ip().is_loopback());
        let serve = move || serve(runtime, listener, router, pages, stopped);
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(serve)?;
        Ok(HttpServer { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the process by itself.
            let _ = thread.join();
        }
    }
}

fn serve(
    runtime: Runtime,
    listener: TcpListener,
    router: Router,
    pages: Arc<dyn Pages>,
    stopped: oneshot::Receiver<()>,
) {
    runtime.spawn(accept(listener, router));
    runtime.spawn(async move {
        loop {
            pages.watch();
            sleep(WATCH_EVERY).await;
        }
    });
    // It is dropped to say so.
    let _ = runtime.block_on(stopped);
    // Whoever still reads a sink is not waited for.
    runtime.shutdown_background();
}

async fn accept(listener: TcpListener, router: Router) {
    let mut open: VecDeque<AbortHandle> = VecDeque::with_capacity(MOST_CONNECTIONS);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Such as too many open files: it passes, or the run has said so itself.
            sleep(PAUSE).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() == MOST_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        // What goes wrong on it is its client's to know.
        let connection = tokio::spawn(timeout(ALL_WITHIN, answer(stream, router.clone())));
        open.push_back(connection.abort_handle());
        // One that has said what it wants is answered before there is another.
        tokio::task::yield_now().await;
    }
}

/// One request, and the end.
async fn answer(stream: TcpStream, router: Router) -> Result<(), hyper::Error> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MOST_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
}
