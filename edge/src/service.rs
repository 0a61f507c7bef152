//! `Service`: the answer to every request that no static asset answers.

use std::rc::Rc;

use crate::access::Access;
use crate::answer::Answer;
use crate::cors::Policy;
use crate::headers::ISOLATION;
use crate::image::opened::Memory;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::route::Route;
use crate::storage::Storage;
use crate::{chunk, image, manifest};

/// What answers requests.
pub struct Service {
    /// Where chunks and manifests are.
    pub storage: Rc<dyn Storage>,
    /// What is remembered between requests.
    pub memory: Rc<Memory>,
    /// Who may ask.
    pub access: Access,
    /// Which pages' scripts may read answers.
    pub cors: Policy,
}

impl Service {
    /// Answers a request. What can't be answered becomes an answer that says why.
    pub async fn answer(&self, request: &Request<'_>) -> Answer {
        let outcome = self.route(request).await;
        let mut answer = outcome.unwrap_or_else(|refusal| refusal.answer(request.is_head()));
        for (name, value) in ISOLATION {
            answer.add(name, value);
        }
        if self.access.is_private() {
            answer.make_private();
        }
        self.cors.permit(request, &mut answer);
        answer
    }

    async fn route(&self, request: &Request<'_>) -> Result<Answer, Refusal> {
        let route = Route::parse(request.method, request.path)?;
        if request.method == "OPTIONS" {
            return Ok(Policy::preflight());
        }
        self.access.check(&route, request)?;
        match route {
            Route::Chunk(digest) => chunk::answer(&*self.storage, &digest, request).await,
            Route::Manifest(name) => manifest::answer(&*self.storage, name, request).await,
            Route::Image(name) => image::answer(&self.storage, &self.memory, name, request).await,
        }
    }
}

#[cfg(test)]
mod tests;
