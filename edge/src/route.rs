//! `Route`: what a method and a path ask for.

use disk::ChunkDigest;
use disk::manifest::is_image_name;

use crate::refusal::Refusal;

/// Something this Worker serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route<'a> {
    /// `/disk/chunks/DIGEST`: a chunk, an index page or a pack.
    Chunk(ChunkDigest),
    /// `/disk/manifests/NAME.json`
    Manifest(&'a str),
    /// `/disk/images/NAME.img`: the raw image.
    Image(&'a str),
}

impl<'a> Route<'a> {
    /// Recognises a request by method and path.
    ///
    /// # Errors
    /// Unknown paths, other methods on known ones, and names that can't name anything.
    pub fn parse(method: &str, path: &'a str) -> Result<Self, Refusal> {
        let route = if let Some(digest) = path.strip_prefix("/disk/chunks/") {
            let digest: ChunkDigest =
                digest.parse().map_err(|error| Refusal::BadRequest(format!("Not a chunk's name: {error}.")))?;
            if digest.is_zero() {
                return Err(Refusal::BadRequest("Chunks of zeros have no object; they are not fetched.".into()));
            }
            Route::Chunk(digest)
        } else if let Some(file) = path.strip_prefix("/disk/manifests/") {
            Route::Manifest(image_name(file, ".json")?)
        } else if let Some(file) = path.strip_prefix("/disk/images/") {
            Route::Image(image_name(file, ".img")?)
        } else {
            return Err(Refusal::NotFound("There is nothing here.".into()));
        };
        match method {
            "GET" | "HEAD" | "OPTIONS" => Ok(route),
            _ => Err(Refusal::MethodNotAllowed),
        }
    }
}

/// The image that a file with this extension is about.
fn image_name<'a>(file: &'a str, extension: &str) -> Result<&'a str, Refusal> {
    let name = file.strip_suffix(extension).filter(|name| is_image_name(name));
    name.ok_or_else(|| Refusal::BadRequest("Not an image's name.".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served() {
        let digest = ChunkDigest::of(b"chunk");
        assert_eq!(Route::parse("GET", &format!("/disk/chunks/{digest}")), Ok(Route::Chunk(digest)));
        assert_eq!(Route::parse("HEAD", "/disk/manifests/default.json"), Ok(Route::Manifest("default")));
        assert_eq!(Route::parse("OPTIONS", "/disk/images/a.img.img"), Ok(Route::Image("a.img")));
    }

    #[test]
    fn what_is_not() {
        let digest = ChunkDigest::of(b"chunk").to_string();
        let chunk = format!("/disk/chunks/{digest}");
        let zero = format!("/disk/chunks/{}", ChunkDigest::ZERO);
        for (method, path, status) in [
            ("GET", "/", 404),
            ("GET", "/disk", 404),
            ("GET", "/disk/", 404),
            ("POST", "/nothing", 404),
            ("GET", "/disk/chunks/", 400),
            ("GET", "/disk/chunks/../manifests/default.json", 400),
            ("GET", &chunk.to_uppercase().replace("/DISK/CHUNKS", "/disk/chunks"), 400),
            ("GET", &format!("{chunk}0"), 400),
            ("GET", &zero, 400),
            ("GET", "/disk/manifests/default", 400),
            ("GET", "/disk/manifests/.json", 400),
            ("GET", "/disk/manifests/..%2fsecret.json", 400),
            ("GET", "/disk/manifests/a/b.json", 400),
            ("GET", "/disk/images/", 400),
            ("GET", "/disk/images/default", 400),
            ("GET", "/disk/images/default.json", 400),
            ("POST", &chunk, 405),
            ("PUT", "/disk/images/default.img", 405),
            ("DELETE", "/disk/manifests/default.json", 405),
        ] {
            assert_eq!(Route::parse(method, path).map_err(|refusal| refusal.status()), Err(status), "{method} {path}");
        }
    }
}
