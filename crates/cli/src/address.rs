//! `--host`, `--port` and what a page's address is, for every command that serves one.

use std::io::Write;
use std::net::SocketAddr;

use web::{Guard, Server, WebError};

/// Where a page is served.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AddressArgs {
    /// Address to listen on; 127.0.0.1 is reached from this machine only, 0.0.0.0 from everywhere
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1",
        help_heading = "Address"
    )]
    host: String,

    /// Port to listen on, 0 for any that is free
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8123,
        help_heading = "Address"
    )]
    port: u16,

    /// Another name that this machine is reached by (a proxy's); may be given several times
    #[arg(long, value_name = "NAME", help_heading = "Address")]
    allow_host: Vec<String>,
}

impl AddressArgs {
    pub(crate) fn bind(&self) -> Result<Server, WebError> {
        Server::bind(&self.host, self.port)
    }

    /// On a loopback address only names of this machine are answered to.
    pub(crate) fn guard(&self, server: &Server) -> Guard {
        Guard {
            loopback: server.address().ip().is_loopback(),
            hosts: self.allow_host.clone(),
            origins: Vec::new(),
        }
    }

    /// The address to open, on standard output: a script may wait for it.
    pub(crate) fn say(
        &self,
        server: &Server,
        what: &str,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let address = server.address();
        writeln!(out, "{what} is at {}  (Ctrl-C ends it)", url(address))?;
        out.flush()
    }
}

/// A command's own default port. (A constant parameter of [`AddressArgs`] doesn't do: clap's derived
/// code keeps the first command's default for all of them.)
pub(crate) fn with_port(command: clap::Command, port: &'static str) -> clap::Command {
    command.mut_arg("port", |arg| arg.default_value(port))
}

/// Every address of the machine is listened on as 0.0.0.0, which no browser can open.
fn url(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        ip if ip.is_unspecified() => format!("http://localhost:{port}"),
        ip if ip.is_ipv6() => format!("http://[{ip}]:{port}"),
        ip => format!("http://{ip}:{port}"),
    }
}
