//! Where answers go out: an [`Answer`] becomes the platform's response.

use futures_util::StreamExt;
use worker::js_sys::{BigInt, Error, Uint8Array};
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::web_sys::{WritableStream, WritableStreamDefaultWriter};
use worker::worker_sys::FixedLengthStream;
use worker::{EncodeBody, Headers, Response, ResponseBuilder, Result};

use crate::answer::{Answer, Body};
use crate::image::body::{Piece, Pieces};
use crate::storage::Content;

/// Zeros written at a time: as much as a chunk, so that they use no more memory.
const ZEROS_BYTES_MAX: u64 = 128 << 10;

/// The response that an answer is.
///
/// # Errors
/// The platform's.
pub fn send(answer: Answer) -> Result<Response> {
    let headers = Headers::new();
    for (name, value) in &answer.headers {
        headers.append(name, value)?;
    }
    // The runtime must not compress once more what is labelled as compressed.
    let is_encoded = answer.header("content-encoding").is_some();
    let encode_body = if is_encoded { EncodeBody::Manual } else { EncodeBody::Automatic };
    let head = ResponseBuilder::new().with_status(answer.status).with_headers(headers).with_encode_body(encode_body);
    Ok(match answer.body {
        Body::Empty => head.empty(),
        Body::Bytes(bytes) | Body::Stored(Content::Bytes(bytes)) => head.fixed(bytes),
        Body::Stored(Content::Stream(stream)) => head.stream(stream),
        Body::Image { pieces, length } => {
            // Keeps the length in the head, where a plain stream would lose it, and fails if it is not kept.
            let stream = FixedLengthStream::new_big_int(BigInt::from(length))?;
            spawn_local(write_all(stream.writable(), pieces));
            head.stream(stream.readable())
        }
    })
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

async fn write(writer: &WritableStreamDefaultWriter, piece: Piece) -> std::result::Result<(), JsValue> {
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
async fn write_bytes(writer: &WritableStreamDefaultWriter, bytes: &Uint8Array) -> std::result::Result<(), JsValue> {
    JsFuture::from(writer.write_with_chunk(bytes)).await.map(drop)
}
