//! Just enough of an HTTP/1.1 client to walk the product on loopback: one request, one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Nothing on this machine answers slower than this and is healthy.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {}, not JSON: {}", self.status, self.text()))
    }

    /// The body as far as it is text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// An error unless the status is one of these.
    pub fn expect(self, what: &str, statuses: &[u16]) -> Result<Self> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        bail!("{what} answered {}: {}", self.status, self.text())
    }
}

/// Sends a request and reads the answer to its end. `path` carries the query.
pub fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let what = || format!("{method} http://{address}{path}");
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).with_context(what)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).with_context(what)?;
    stream.write_all(body).with_context(what)?;
    read(&mut BufReader::new(stream)).with_context(what)
}

fn read(from: &mut impl BufRead) -> Result<Answer> {
    let status = line(from)?
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("no HTTP status line")?;
    let mut headers = Vec::new();
    loop {
        let line = line(from)?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = chunks(from)?;
    } else if let Some(length) = answer.header("content-length") {
        let length: u64 = length.parse().context("content-length is no number")?;
        from.take(length).read_to_end(&mut answer.body)?;
    } else if !matches!(status, 204 | 304) {
        from.read_to_end(&mut answer.body)?;
    }
    Ok(answer)
}

fn chunks(from: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let head = line(from)?;
        let digits = head.split(';').next().unwrap_or_default();
        let length = u64::from_str_radix(digits.trim(), 16)
            .with_context(|| format!("chunk of length {head:?}"))?;
        from.take(length).read_to_end(&mut body)?;
        line(from)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_answer_is_put_together() {
        let mut wire: &[u8] =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"a\"\r\n\r\n\
                                3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n";
        let answer = read(&mut wire).unwrap();
        assert_eq!((answer.status, answer.text()), (200, "abcde".into()));
        assert_eq!(answer.header("etag"), Some("\"a\""));
    }

    #[test]
    fn an_answer_without_a_body_is_not_waited_for() {
        let mut wire: &[u8] = b"HTTP/1.1 304 Not Modified\r\n\r\n";
        assert_eq!(read(&mut wire).unwrap().status, 304);
    }
}
