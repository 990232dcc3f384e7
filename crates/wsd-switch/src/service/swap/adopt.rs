//! The next process takes control over (SW-183, steps 8 to 10).

use wsd_os::atomic::Ordering;

use wsd_os::clock;
use wsd_session::Move;

use super::super::attach::random_number;
use super::super::companion::{Companion, Stage};
use super::super::port::Port;
use super::super::proof::{Names, canonical};
use super::super::pump::{Pump, PumpMemory};
use super::super::steps::{Failure, Step, fail, on_descriptor};
use super::super::thread::Service;
use crate::family::{self, First};
use crate::reason::Reason;
use crate::service::kick;
use crate::sharing::members;
use crate::sharing::page::{Control, Page};
use crate::sharing::{self};
use crate::stream::state::Stream;
use crate::trace;

impl Service {
    /// Control has been offered to this process.
    pub(super) fn adopt(&mut self, stream: &Stream) {
        let mut memory = self.sharers.get_mut(&stream.index).and_then(|sharer| sharer.memory.take());
        if let Err(failure) = self.take_over(stream, &mut memory) {
            trace::note(format_args!("connection {} was not taken over: {}", stream.index, failure.reason));
            self.share_is_over(stream);
            // The page lies in it.
            if let Some(sharer) = self.sharers.get_mut(&stream.index) {
                sharer.memory = memory;
            }
        }
    }

    fn take_over(&mut self, stream: &Stream, memory: &mut Option<PumpMemory>) -> Step {
        let lost = || fail(Reason::CompanionLost);
        let sharer = self.sharers.get_mut(&stream.index).ok_or_else(lost)?;
        let (page, me) = (sharer.page, sharer.me);
        let given = sharer.given.take();
        sharer.watched = None;
        if page.packed.load(Ordering::Relaxed) == 0 {
            return self.take_rest(stream, memory);
        }
        let names = names_of(page).ok_or_else(lost)?;
        let provider =
            self.providers.named(|name| page.is_of_provider(name)).ok_or(fail(Reason::NoProvider))?;
        let port =
            Port::adopted(&self.providers, provider, stream.index, names, page.value.load(Ordering::Relaxed));
        let mut port = port.map_err(Failure::from)?;
        // Step 9. A provider may answer with the socket that this process has had before.
        if let Some(given) = given {
            given.replaced_by(&mut port);
        }
        let Move { mut session, sender, receiver } =
            Move::unpack(&page.unpack()).map_err(|_| fail(Reason::NegotiationFailed))?;
        session.receives_posted(port.open_messages()?);
        port.be_patient();
        session.resume().map_err(|_| fail(Reason::NegotiationFailed))?;
        let memory = Self::take_rings(stream, page, memory)?;
        let mut companion = Companion::new(stream.generation, names, random_number()?, port);
        companion.stage = Stage::Up;
        companion.peer = session.agreement().map(|agreement| agreement.peer.clone());
        companion.session = Some(session);
        companion.pump = Some(Pump::arrived(memory, sender, receiver));
        self.keys.insert(companion.key, stream.index);
        self.companions.insert(stream.index, companion);
        let record = stream.record;
        record.provider.store(provider as u32 + 1, Ordering::Relaxed);
        record.set_first(First::Connected);
        self.take_control(stream, page, me)
    }

    /// The peer has closed, and what has come from it is all that there is.
    fn take_rest(&mut self, stream: &Stream, memory: &mut Option<PumpMemory>) -> Step {
        let lost = || fail(Reason::CompanionLost);
        let sharer = self.sharers.get(&stream.index).ok_or_else(lost)?;
        let (page, me) = (sharer.page, sharer.me);
        let memory = Self::take_rings(stream, page, memory)?;
        if let Some(sharer) = self.sharers.get_mut(&stream.index) {
            sharer.memory = Some(memory);
        }
        self.take_control(stream, page, me)
    }

    /// This process is the one that writes and reads the rings.
    fn take_rings(
        stream: &Stream,
        page: &Page,
        memory: &mut Option<PumpMemory>,
    ) -> Result<PumpMemory, Failure> {
        let channel = stream.channel().map_err(|_| fail(Reason::NoMemory))?;
        let memory =
            memory.take().or_else(|| PumpMemory::inherited(channel)).ok_or(fail(Reason::NoMemory))?;
        memory.show(channel);
        sharing::give_to_program(stream, page).map_err(|_| fail(Reason::CompanionLost))?;
        Ok(memory)
    }

    fn take_control(&mut self, stream: &Stream, page: &Page, me: u32) -> Step {
        stream.record.controller.store(family::my_slot() as u32 + 1, Ordering::Release);
        page.members[me as usize].ticket.store(0, Ordering::Release);
        if !page.change(Control::Offered(me), Control::Held(me)) {
            return Err(fail(Reason::CompanionLost));
        }
        members::release(page, me);
        if let Some(sharer) = self.sharers.get_mut(&stream.index) {
            sharer.arrived = Some(clock::now_ns());
            sharer.parting = false;
            sharer.awaits_next = false;
        }
        trace::note(format_args!("connection {}: this process has control", stream.index));
        // Options of the kernel's socket, which others may have changed.
        on_descriptor(self.family, stream, |own| own.record.mirror(&own.borrow()));
        sharing::let_program_go(stream);
        kick::kick_own(stream.index);
        if page.parting.swap(0, Ordering::SeqCst) != 0 {
            members::tell_all(page);
        }
        Ok(())
    }
}

fn names_of(page: &Page) -> Option<Names> {
    Some(Names { local: canonical(page.local.get()?), peer: canonical(page.peer.get()?) })
}
