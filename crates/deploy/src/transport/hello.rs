//! The first words on every connection: who is calling, whom, what for, and what has happened between the two.

use super::wire::WIRE_VERSION;
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use hcddl_core::domain::NodeId;
pub(super) use hcddl_core::node::bond::Standing;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_serde::{Deserializer, Serializer};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Longest hello and longest answer, in bytes.
pub(super) const HELLO_BYTES_MAX: usize = 1024;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// ractor_cluster: small messages and signs of life. Comes first.
    Control,
    /// Messages with tensors; joins the control connection of the same number.
    Bulk,
}

/// What the dialling end says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// [`WIRE_VERSION`] of the caller.
    pub wire: u16,
    /// Name of the run.
    pub run: String,
    /// The caller.
    pub from: NodeId,
    /// Whom it wants.
    pub to: NodeId,
    /// What for.
    pub purpose: Purpose,
    /// A random number for the pair of connections; nobody else knows it.
    pub connection: u64,
    /// Where the caller stands.
    pub standing: Standing,
}

/// What the accepting end says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Come in.
    Welcome(Standing),
    /// Go away, and why.
    Refused(String),
}

impl Hello {
    /// Why this hello must be refused, whoever says it: a kind of reason, and the words.
    pub fn refusal(&self, run: &str, me: NodeId) -> Option<(&'static str, String)> {
        if self.wire != WIRE_VERSION {
            let (theirs, ours) = (self.wire, WIRE_VERSION);
            let next = "run the same hcddl everywhere";
            Some(("version", format!("it speaks wire format {theirs}, this program {ours}; {next}")))
        } else if self.run != run {
            Some(("run", format!("it belongs to run `{}`, this is run `{run}`", self.run)))
        } else if self.to != me {
            Some(("node", format!("it wants node {}, this is node {}", self.to.0, me.0)))
        } else {
            None
        }
    }
}

/// Encodes values for `tokio_serde`, through the wire module.
pub(super) struct Values<T> {
    bytes_max: u64,
    values: PhantomData<fn(T)>,
}

impl<T: Serialize> Serializer<T> for Values<T> {
    type Error = io::Error;
    fn serialize(self: Pin<&mut Self>, value: &T) -> io::Result<Bytes> {
        hcddl_files::bytes::to_bytes(value).map(Bytes::from).map_err(io::Error::other)
    }
}

impl<T: DeserializeOwned> Deserializer<T> for Values<T> {
    type Error = io::Error;
    fn deserialize(self: Pin<&mut Self>, bytes: &BytesMut) -> io::Result<T> {
        hcddl_files::bytes::from_bytes(bytes, self.bytes_max)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}

/// A stream of values of one type over a transport of frames.
pub(super) type Framing<Transport, T> = tokio_serde::Framed<Transport, T, T, Values<T>>;

/// Values of at most so many bytes over a transport of frames.
pub(super) fn framing<Transport, T>(transport: Transport, bytes_max: usize) -> Framing<Transport, T> {
    tokio_serde::Framed::new(transport, Values { bytes_max: bytes_max as u64, values: PhantomData })
}

/// Frames of at most so many bytes, each behind its length.
pub(super) fn lengths(bytes_max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(bytes_max).little_endian().new_codec()
}

/// Says something.
pub(super) async fn say<T: Serialize>(io: &mut (impl AsyncWrite + Unpin), value: &T) -> io::Result<()> {
    let mut frames = tokio_util::codec::FramedWrite::new(io, lengths(HELLO_BYTES_MAX));
    frames.send(hcddl_files::bytes::to_bytes(value).map(Bytes::from).map_err(io::Error::other)?).await
}

/// Hears something; returns also what came behind it.
pub(super) async fn hear<T: DeserializeOwned>(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<(T, BytesMut)> {
    let frames = Framed::new(io, lengths(HELLO_BYTES_MAX));
    let mut values: Framing<_, T> = framing(frames, HELLO_BYTES_MAX);
    let value = values.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
    Ok((value, values.into_inner().into_parts().read_buf))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn hello() -> Hello {
        Hello {
            wire: WIRE_VERSION,
            run: "r".to_owned(),
            from: NodeId(1),
            to: NodeId(0),
            purpose: Purpose::Control,
            connection: 7,
            standing: Standing { life: 0, losses: 0 },
        }
    }

    #[tokio::test]
    async fn what_is_said_is_heard_and_what_follows_is_kept() {
        let (mut a, mut b) = tokio::io::duplex(4096);
        say(&mut a, &hello()).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut a, b"more").await.unwrap();
        let (heard, rest) = hear::<Hello>(&mut b).await.unwrap();
        assert_eq!((heard, &rest[..]), (hello(), &b"more"[..]));
    }

    #[test]
    fn a_hello_to_another_run_node_or_version_is_refused() {
        assert_eq!(hello().refusal("r", NodeId(0)), None);
        assert!(hello().refusal("other", NodeId(0)).unwrap().1.contains("run `r`"));
        assert!(hello().refusal("r", NodeId(2)).unwrap().1.contains("wants node"));
        let old = Hello { wire: 0, ..hello() };
        assert!(old.refusal("r", NodeId(0)).unwrap().1.contains("wire format 0"));
    }

    #[tokio::test]
    async fn an_oversized_hello_is_refused_before_it_is_read() {
        let (mut a, mut b) = tokio::io::duplex(4096);
        tokio::io::AsyncWriteExt::write_all(&mut a, &u32::MAX.to_le_bytes()).await.unwrap();
        assert_eq!(hear::<Hello>(&mut b).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn garbage_is_no_hello(garbage in proptest::collection::vec(any::<u8>(), 0..200)) {
            // Random bytes may be a hello only if writing it gives the same bytes again.
            if let Ok(hello) = hcddl_files::bytes::from_bytes::<Hello>(&garbage, HELLO_BYTES_MAX as u64) {
                prop_assert_eq!(hcddl_files::bytes::to_bytes(&hello).unwrap(), garbage);
            }
        }
    }
}
