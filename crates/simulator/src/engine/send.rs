//! Handles one send request, from its bytes to its answer, in the same way for every face.

use std::future::pending;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use crate::engine::accept::accept;
use crate::engine::account::Mode;
use crate::engine::accounts;
use crate::engine::answer::{answer, break_off, wait};
use crate::engine::face::{Call, Face, Trouble};
use crate::engine::plan::Answer;
use crate::engine::receive::receive;
use crate::engine::world::World;

/// `faces`: those at the address of the call, at least one.
pub(crate) async fn send(world: &Arc<World>, faces: &[&'static dyn Face], call: &Call<'_>) -> HttpResponse {
    world.count(|stats| stats.requests += 1);
    let face = accounts::face_for(world, faces, call);
    let no = match accounts::find(world, face, call) {
        Ok(no) => no,
        Err(trouble) => {
            let reply = face.trouble(trouble);
            world.count(|stats| match trouble {
                Trouble::Unauthorized => stats.unauthorized += 1,
                _ => stats.malformed += 1,
            });
            world.refuse(call.http.path(), reply.http, reply.reason.clone());
            return answer(reply);
        }
    };
    world.count_account(no, |account| account.requests += 1);
    let account = &world.accounts[no];
    let content_type = call.header("content-type");
    let is_readable = content_type.is_some_and(|value| value.starts_with(face.product().content_type));
    let request = match face.read(&account.fixed, if is_readable { call.body } else { b"" }) {
        Ok(request) => request,
        Err(reply) => {
            world.count(|stats| stats.malformed += 1);
            world.refuse(call.http.path(), reply.http, reply.reason.clone());
            return answer(reply);
        }
    };
    let mode = account.live().mode;
    let received = receive(world, no, mode, &request);
    match received.plan.answer {
        Answer::Accept | Answer::ResetAfter => accept(world, no, &request, received).await,
        Answer::Hang => {
            tokio::select! {
                () = pending::<()>() => {}
                () = tokio::time::sleep(world.hang_limit) => {}
            }
            break_off()
        }
        Answer::ResetBefore => break_off(),
        Answer::ServerError { readable: false } => {
            wait(world, received.plan.answer_after).await;
            HttpResponse::build(StatusCode::BAD_GATEWAY)
                .content_type("text/html")
                .body("<html><body><h1>502 Bad Gateway</h1></body></html>")
        }
        Answer::ServerError { readable: true } | Answer::RateLimited | Answer::Reject(_) => {
            wait(world, received.plan.answer_after).await;
            answer(face.refused(trouble_of(received.plan.answer, mode), &request))
        }
    }
}

fn trouble_of(answer: Answer, mode: Mode) -> Trouble {
    match answer {
        Answer::Reject(code) => Trouble::Rejected(code),
        Answer::RateLimited => Trouble::RateLimited,
        _ if mode == Mode::Outage => Trouble::Outage,
        _ => Trouble::ServerError,
    }
}
