//! The socket of a connection; it reports its traffic to the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::web::server::connection::Connection;
use crate::web::server::headers;

pub(super) struct Stream {
    socket: TcpStream,
    pub(super) connection: Arc<Connection>,
    /// Bytes read since other parts last ran.
    turn: usize,
    /// The unwritten rest of an answer from actix itself, with our headers.
    own_answer: Vec<u8>,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, connection: Arc<Connection>) -> Self {
        Self { socket, connection, turn: 0, own_answer: Vec::new() }
    }

    fn poll_own_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.own_answer.is_empty() {
            let n = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.own_answer))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.own_answer.drain(..n);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(most) = this.connection.may_read(cx.waker()) else {
            this.turn = 0;
            return Poll::Pending;
        };
        if this.turn >= most {
            // Input is handled before more is read: otherwise actix buffers 128 KiB per connection.
            this.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = buffer.remaining().min(most - this.turn);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        match Pin::new(&mut this.socket).poll_read(cx, &mut part) {
            Poll::Pending if this.connection.ends_when_idle() => Poll::Ready(Ok(())),
            Poll::Pending => {
                this.turn = 0;
                Poll::Pending
            }
            Poll::Ready(Err(error)) => {
                this.connection.client_left();
                Poll::Ready(Err(error))
            }
            Poll::Ready(Ok(())) => {
                let n = part.filled().len();
                buffer.advance(n);
                this.turn += n;
                if n == 0 {
                    this.connection.client_left();
                } else if !this.connection.bytes_came(n) {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the head is too long")));
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_own_answer(cx))?;
        if this.connection.is_between_requests()
            && let Some(answer) = headers::added_to(bytes)
        {
            this.own_answer = answer;
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut this.socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_own_answer(cx))?;
        ready!(Pin::new(&mut this.socket).poll_flush(cx))?;
        this.connection.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_own_answer(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}
