//! op-node's side: one keep-alive connection, blocking, with as little of its own as possible.

use baton_portal::Secret;
use eyre::{Result, WrapErr, ensure};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How long a token is used; it counts for a minute.
const TOKEN_LIFE: Duration = Duration::from_secs(20);

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    secret: Secret,
    token: (String, Instant),
}

fn token(secret: &Secret) -> (String, Instant) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    (secret.token(now), Instant::now())
}

impl Connection {
    pub(crate) fn open(to: SocketAddr, secret: Secret) -> Result<Self> {
        let stream = TcpStream::connect(to).wrap_err_with(|| format!("can't connect to {to}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let token = token(&secret);
        Ok(Self { stream, buffer: vec![0; 1 << 20], secret, token })
    }

    /// Posts a body and reads the answer to its end; gives the answer's length.
    pub(crate) fn call(&mut self, body: &[u8]) -> Result<usize> {
        if self.token.1.elapsed() > TOKEN_LIFE {
            self.token = token(&self.secret);
        }
        let mut request = Vec::with_capacity(body.len() + 400);
        write!(
            request,
            "POST / HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            self.token.0,
            body.len()
        )?;
        request.extend_from_slice(body);
        self.stream.write_all(&request)?;
        let mut read = 0;
        let (head, length) = loop {
            let more = self.stream.read(&mut self.buffer[read..])?;
            ensure!(more > 0, "the connection was closed");
            read += more;
            if let Some(end) = self.buffer[..read].windows(4).position(|part| part == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
                ensure!(head.starts_with("http/1.1 200"), "answered {head}");
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.ok_or_else(|| eyre::eyre!("no content-length in {head}"))?.trim().parse()?;
                break (end + 4, length);
            }
        };
        let beginning = String::from_utf8_lossy(&self.buffer[head..read.min(head + 120)]).into_owned();
        ensure!(!beginning.contains("\"error\""), "answered {beginning}");
        let mut left = (head + length).saturating_sub(read);
        while left > 0 {
            let room = left.min(self.buffer.len());
            let more = self.stream.read(&mut self.buffer[..room])?;
            ensure!(more > 0, "the connection was closed");
            left -= more;
        }
        Ok(length)
    }
}
