//! Where answers go out: an [`Answer`] becomes the platform's response.

use futures_util::StreamExt;
use worker::js_sys::{BigInt, Error, Uint8Array};
use worker::wasm_bindgen::{self, JsValue, prelude::wasm_bindgen};
use worker::wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::web_sys::{Response, WritableStream, WritableStreamDefaultWriter};
use worker::worker_sys::FixedLengthStream;

use crate::answer::{Answer, Body};
use crate::image::body::{Piece, Pieces};
use crate::storage::Content;

/// Zeros written at a time: as much as a chunk, so that they use no more memory.
const ZEROS_BYTES_MAX: u64 = 128 << 10;

#[wasm_bindgen(module = "/src/bridge.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn respond(status: u16, lines: &str, body: &JsValue, is_encoded: bool) -> Result<Response, JsValue>;
}

/// The response that an answer is.
///
/// # Errors
/// The platform's.
pub fn send(answer: Answer) -> Result<Response, JsValue> {
    let is_encoded = answer.header("content-encoding").is_some();
    let lines: Vec<String> = answer.headers.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    let body = match answer.body {
        Body::Empty => JsValue::NULL,
        Body::Bytes(bytes) | Body::Stored(Content::Bytes(bytes)) => Uint8Array::from(bytes.as_slice()).into(),
        Body::Stored(Content::Stream(stream)) => stream.into(),
        Body::Image { pieces, length } => {
            // Keeps the length in the head, where a plain stream would lose it, and fails if it is not kept.
            let stream = FixedLengthStream::new_big_int(BigInt::from(length))?;
            spawn_local(write_all(stream.writable(), pieces));
            stream.readable().into()
        }
    };
    respond(answer.status, &lines.join("\n"), &body, is_encoded)
}

/// Writes pieces as fast as they are taken. If one can't be had, the connection is broken off: the client must not take
/// what it has for all there is.
async fn write_all(stream: WritableStream, mut pieces: Pieces) {
    let Ok(writer) = stream.get_writer() else { return };
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(refusal) => {
                let text = refusal.text();
                worker::console_error!("a body is broken off: {text}");
                let _ = JsFuture::from(writer.abort_with_reason(&Error::new(&text))).await;
                return;
            }
        };
        if write(&writer, piece).await.is_err() {
            return; // The client has gone.
        }
    }
    let _ = JsFuture::from(writer.close()).await;
}

async fn write(writer: &WritableStreamDefaultWriter, piece: Piece) -> Result<(), JsValue> {
    match piece {
        Piece::Text(text) => write_bytes(writer, &Uint8Array::from(text.as_bytes())).await,
        Piece::Bytes(chunk, range) => {
            write_bytes(writer, &Uint8Array::from(chunk.get(range).unwrap_or_default())).await
        }
        Piece::Zeros(mut left) => {
            // A new array is zero, and nobody writes to it.
            let zeros = Uint8Array::new_with_length(left.min(ZEROS_BYTES_MAX) as u32);
            while left > 0 {
                let len = left.min(ZEROS_BYTES_MAX);
                write_bytes(writer, &zeros.subarray(0, len as u32)).await?;
                left -= len;
            }
            Ok(())
        }
    }
}

/// Writes an array once there is room for it.
async fn write_bytes(writer: &WritableStreamDefaultWriter, bytes: &Uint8Array) -> Result<(), JsValue> {
    JsFuture::from(writer.write_with_chunk(bytes)).await.map(drop)
}
