//! From a port to a router: connections, their time limits, and an orderly end.
//!
//! Here: binding, accepting, dropping clients that send their headers slowly, stopping on a signal
//! or when told, with a grace period for what is in flight. Not here: what a request means.
//!
//! `axum::serve` has no limits for slow clients, so the connections are hyper's.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

use crate::WebError;

/// What headers may take of a connection's memory; more is answered 431 without words and cut off.
/// The guard's limits, which come with words, are lower.
const HEADER_BYTES: usize = 64 << 10;
const HEADER_LINES: usize = 500;

/// Tells a server, and streams that would never end by themselves, that it's over.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Ends it.
    pub fn now(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was ended.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it was ended.
    pub async fn wait(&self) {
        let mut stopping = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = stopping.wait_for(|&stopping| stopping).await;
    }
}

/// How long a server waits for its clients.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For the headers of a request, and between two requests on one connection.
    pub headers: Duration,
    /// For a client to take what is written to it.
    pub writes: Duration,
    /// For requests that are in flight when the server is told to stop.
    pub grace: Duration,
    /// Most connections at once; more wait in the system's queue.
    pub connections: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(15),
            writes: Duration::from_secs(30),
            grace: Duration::from_secs(20),
            connections: 4096,
        }
    }
}

/// A bound port with the threads that will serve it.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on `host:port`; port 0 means any free one.
    ///
    /// # Errors
    /// The address is not this machine's, or in use.
    pub fn bind(host: &str, port: u16) -> Result<Self, WebError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("web")
            .enable_all()
            .build()
            .map_err(WebError::Threads)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let failed = |source| WebError::Listen {
            address: format!("{host}:{port}"),
            source,
        };
        let listener = runtime
            .block_on(TcpListener::bind((host, port)))
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            runtime,
            listener,
            address,
        })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, Ctrl-C or SIGTERM, then finishes what is in flight.
    ///
    /// # Errors
    /// The operating system took the port away.
    pub fn run(self, router: Router, timing: Timing, stop: &Stop) -> Result<(), WebError> {
        let Self {
            runtime,
            listener,
            address,
        } = self;
        let done = runtime.block_on(serve(listener, router, timing, stop));
        // Work on other threads that nobody waits for any more must not hold the program.
        runtime.shutdown_background();
        done.map_err(|source| WebError::Serve { address, source })
    }
}

async fn serve(
    listener: TcpListener,
    router: Router,
    timing: Timing,
    stop: &Stop,
) -> std::io::Result<()> {
    let places = Arc::new(Semaphore::new(timing.connections));
    let graceful = GracefulShutdown::new();
    tokio::spawn(stop_on_signals(stop.clone()));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => (place, stream),
                // Out of file descriptors, or a client that is gone already: others may still come.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stop.wait() => break,
        };
        let connection = graceful.watch(connection(stream, router.clone(), timing));
        tokio::spawn(async move {
            let _place = place;
            // A client that broke off has nobody left to tell.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(timing.grace, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests were cut off: they took longer than the grace period");
    }
    Ok(())
}

/// One client's requests, answered one after the other.
type Connection = hyper::server::conn::http1::Connection<
    TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>,
    TowerToHyperService<Router>,
>;

fn connection(stream: TcpStream, router: Router, timing: Timing) -> Connection {
    // Answers are small and whole: waiting for more bytes only adds latency.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(timing.writes));
    let stream = Box::pin(stream);
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timing.headers)
        .max_headers(HEADER_LINES)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}

#[cfg(unix)]
async fn stop_on_signals(stop: Stop) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => stop.now(),
        asked = tokio::signal::ctrl_c() => if asked.is_ok() { stop.now() },
        () = stop.wait() => {}
    }
}

#[cfg(not(unix))]
async fn stop_on_signals(stop: Stop) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.now();
    }
}
