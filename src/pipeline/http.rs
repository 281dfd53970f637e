//! `[http]`: where a run serves its metrics, its health and its page.

use std::fmt;
use std::str::FromStr;

use super::error::Fault;
use super::raw::RawHttp;

/// `[http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where to listen; `None`: nowhere.
    pub listen: Option<HttpAddress>,
}

/// A host and a port to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAddress {
    /// A name, or the number of an address.
    pub host: String,
    /// 0: any that is free.
    pub port: u16,
}

/// A text that is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no address to listen on: write HOST:PORT, as in 127.0.0.1:9400, or a port of this machine alone, as in 9400"
)]
pub struct InvalidHttpAddress(String);

impl HttpConfig {
    /// What the section means. An empty `listen`, as of a variable that is not set, is none.
    pub(super) fn expand(raw: &RawHttp) -> Result<HttpConfig, Fault> {
        let Some(text) = raw.listen.as_ref().filter(|text| !text.get_ref().is_empty()) else {
            return Ok(HttpConfig::default());
        };
        let listen = text.get_ref().parse();
        let listen = listen.map_err(|error: InvalidHttpAddress| Fault::new(text.span(), error.to_string()))?;
        Ok(HttpConfig { listen: Some(listen) })
    }
}

impl HttpAddress {
    /// Who does not say where means this machine alone.
    const LOOPBACK: &str = "127.0.0.1";

    /// That of the process with this index, of several on one machine: the ports behind each other; `None`: there are not so many ports.
    pub fn of_process(&self, process: u32) -> Option<HttpAddress> {
        let port = match self.port {
            0 => 0,
            first => u32::from(first).checked_add(process).and_then(|port| u16::try_from(port).ok())?,
        };
        Some(HttpAddress { port, ..self.clone() })
    }

    /// The host as sockets are told it: an IPv6 address without brackets.
    pub fn bare_host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }
}

impl FromStr for HttpAddress {
    type Err = InvalidHttpAddress;

    fn from_str(text: &str) -> Result<HttpAddress, InvalidHttpAddress> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
        };
        match port.parse() {
            Ok(port) if is_port && is_host => {
                let host = if host.is_empty() { HttpAddress::LOOPBACK } else { host };
                Ok(HttpAddress { host: host.to_owned(), port })
            }
            _ => Err(InvalidHttpAddress(text.to_owned())),
        }
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_this_machine_and_nothing_is_guessed() {
        let shown = |text: &str| text.parse::<HttpAddress>().map(|address| address.to_string()).ok();
        for text in ["9400", ":9400", "127.0.0.1:9400"] {
            assert_eq!(shown(text).as_deref(), Some("127.0.0.1:9400"), "{text}");
        }
        for text in ["0.0.0.0:0", "[::1]:9400", "feeds-1.example.com:80"] {
            assert_eq!(shown(text).as_deref(), Some(text));
        }
        for text in [
            "",
            "localhost",
            "127.0.0.1",
            "::1",
            "[::1]",
            "a:b",
            "host:",
            "host:65536",
            "host:+1",
            "http://host:80",
            "h/:1",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn each_process_has_a_port_of_its_own() {
        let port = |text: &str, process| text.parse::<HttpAddress>().unwrap().of_process(process).map(|at| at.port);
        assert_eq!([0, 1, 2].map(|process| port("9400", process)), [9_400, 9_401, 9_402].map(Some));
        assert_eq!((port("0", 7), port("65535", 0), port("65535", 1)), (Some(0), Some(65_535), None));
    }
}
