//! The smallest server that can say whether it is well.

use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// The status and the body that the first line of a request gets.
fn answer(request: &str) -> (&'static str, &'static str) {
    match request.split_whitespace().collect::<Vec<_>>()[..] {
        ["GET", "/", _] => ("200 OK", "hello from rust\n"),
        ["GET", "/health", _] => ("200 OK", "ok\n"),
        [_, _, _] => ("404 Not Found", "not found\n"),
        _ => ("400 Bad Request", "what?\n"),
    }
}

/// Reads one request from `client`, up to the empty line, and answers it.
fn serve(mut client: TcpStream) -> Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|text| !text.is_empty()))
    {}
    let (status, body) = answer(&first);
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn main() -> Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8080")?;
    loop {
        // One that cannot be answered is its own problem, not the next one's.
        let _ = listener.accept().and_then(|(client, _)| serve(client));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn pages() {
        assert_eq!(answer("GET / HTTP/1.1"), ("200 OK", "hello from rust\n"));
        assert_eq!(answer("GET /health HTTP/1.1"), ("200 OK", "ok\n"));
        assert_eq!(answer("GET /nothing HTTP/1.1").0, "404 Not Found");
        assert_eq!(answer("\u{1}").0, "400 Bad Request");
    }

    #[test]
    fn an_answer_is_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        serve(listener.accept().unwrap().0).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("hello from rust\n"));
    }
}
