//! Bringing what runs to what the plan says, over and over: what is missing is tried again.

use super::engine::{self, never_the_kernel};
use super::line::{Line, Need};
use super::meanwhile::meanwhile;
use super::table::{Ends, Table};
use super::trouble::Trouble;
use super::tunnel::{self, Inside, Tunnel, is_same, shim_of};
use super::wireguard::{Keys, WireGuard};
use super::{Datapath, Token, unwatch, watch};
use crate::observe::status::{Chosen, LinePath, Missing, WhyRaw, WhyUserspace};
use crate::observe::{logging, words};
use std::collections::BTreeMap;
use std::io;
use std::time::Instant;
use tsumugi_core::desired::ALIAS_TAG;
use tsumugi_core::id::IfName;
use tsumugi_core::router_plan::{self, Engine, RouterPlan};
use tsumugi_plan::explain::Lang;

impl Datapath {
    /// Reads the plan anew. One that is not understood is refused whole: what runs is kept.
    pub(super) fn take_plan(&mut self) {
        let plan = match self.state.plan() {
            Ok(plan) => plan,
            Err(refused) => {
                logging::refuse_plan(&mut self.refused, refused);
                return;
            }
        };
        self.refused = None;
        self.stack_refused = None;
        self.shortcut.ask_again();
        self.count_shortcut();
        self.apply(&plan);
        tracing::info!(
            generation = plan.generation,
            hash = plan.hash,
            tunnels = plan.tunnels.len(),
            "plan taken"
        );
        if let Err(error) = self.keeper.set_desired(plan.underlay.clone()) {
            tracing::error!(reason = %error, "the underlay cannot be watched");
        }
        self.plan = Some(plan);
        self.keep_underlay(Instant::now());
        self.maintain();
        self.forwarding.on_time(Instant::now());
    }

    /// Adds, removes and changes tunnels; those that stay the same are not touched.
    fn apply(&mut self, plan: &RouterPlan) {
        for slot in 0..self.forwarding.tunnels.len() {
            let Some(running) = &self.forwarding.tunnels[slot] else { continue };
            let Some(wanted) = plan.tunnels.iter().find(|wanted| wanted.name == running.plan.name) else {
                tracing::info!(tunnel = %running.plan.name, "tunnel taken down");
                self.shortcut.leave_slot(slot);
                let gone = self.forwarding.tunnels[slot].take().and_then(|tunnel| tunnel.device);
                meanwhile(&self.epoll, &mut self.forwarding, || drop(gone));
                continue;
            };
            let keys = Keys::of(wanted, &self.state).ok().flatten();
            if !is_same(running, wanted, keys.as_ref()) {
                self.change(slot, wanted);
            }
        }
        for wanted in &plan.tunnels {
            let runs = |running: &Tunnel| running.plan.name == wanted.name;
            if self.forwarding.tunnels.iter().flatten().any(runs) {
                continue;
            }
            match self.make(wanted) {
                Ok(tunnel) => self.forwarding.add(tunnel),
                Err(error) => {
                    tracing::error!(tunnel = %wanted.name, reason = %error, "tunnel cannot be made")
                }
            }
        }
        self.remove_strays(plan);
        self.rebuild_table();
    }

    /// Has the tunnel be what the plan wants now, on the device that it has if that is of the right kind.
    fn change(&mut self, slot: usize, wanted: &router_plan::Tunnel) {
        let Some(before) = self.forwarding.tunnels[slot].take() else { return };
        match self.make(wanted) {
            Ok(mut tunnel) => {
                let unused = tunnel.inherit(before);
                self.forwarding.tunnels[slot] = Some(tunnel);
                meanwhile(&self.epoll, &mut self.forwarding, || drop(unused));
            }
            Err(error) => tracing::error!(tunnel = %wanted.name, reason = %error, "tunnel cannot be changed"),
        }
    }

    fn make(&mut self, wanted: &router_plan::Tunnel) -> io::Result<Tunnel> {
        let line = self.line(&wanted.uplink);
        let keys = Keys::of(wanted, &self.state)?;
        let chosen = match never_the_kernel(wanted) {
            Some(why) => Chosen::Userspace(why),
            None => match self.ensure(wanted, keys.as_ref()) {
                Err(error) if wanted.engine == Engine::Auto => {
                    Chosen::Userspace(WhyUserspace::Refused { error: error.to_string() })
                }
                // Where nothing but the kernel will do, it is asked again and again.
                _ => Chosen::Kernel,
            },
        };
        let inside = match (&chosen, shim_of(&wanted.encapsulation), &keys) {
            (Chosen::Kernel, ..) => Inside::Kernel,
            (_, Some(shim), _) => Inside::Shim(shim),
            (_, None, keys) => {
                let keys = keys.as_ref().ok_or(io::ErrorKind::NotFound)?;
                let wireguard = WireGuard::new(wanted, keys).ok_or(io::ErrorKind::InvalidInput)?;
                Inside::WireGuard(Box::new(wireguard))
            }
        };
        tracing::info!(tunnel = %wanted.name, engine = words::engine(&chosen, Lang::En), "tunnel taken up");
        let mut tunnel = Tunnel::new(wanted.clone(), keys, chosen, inside, line);
        tunnel.follow_path(&self.state);
        Ok(tunnel)
    }

    /// Asks the kernel for its own device.
    fn ensure(&mut self, wanted: &router_plan::Tunnel, keys: Option<&Keys>) -> io::Result<()> {
        let Datapath { sides, .. } = self;
        meanwhile(&self.epoll, &mut self.forwarding, || engine::ensure(wanted, keys, sides))
    }

    /// The slot of a line.
    fn line(&mut self, name: &IfName) -> usize {
        let lines = &mut self.forwarding.lines;
        if let Some(slot) = lines.iter().position(|line| line.name == *name) {
            return slot;
        }
        lines.push(Line::new(name.clone()));
        lines.len() - 1
    }

    /// Removes devices of tunnels that the plan no longer has, and devices of another kind than their
    /// tunnel now needs, of an earlier life's too.
    fn remove_strays(&mut self, plan: &RouterPlan) {
        let netlink = &mut self.sides.fabric_netlink;
        let links = match meanwhile(&self.epoll, &mut self.forwarding, || netlink.links()) {
            Ok(links) => links,
            Err(error) => {
                tracing::error!(reason = %error, "the fabric's interfaces cannot be read");
                return;
            }
        };
        for link in links {
            let ours = link.alias.starts_with(ALIAS_TAG) && tunnel::KINDS.contains(&link.kind.as_str());
            let tunnels = &mut self.forwarding.tunnels;
            let mut user = tunnels.iter().flatten().filter(|tunnel| tunnel.plan.name == link.name);
            let right = user.next().map(|tunnel| tunnel.is_device(&link));
            // A tunnel that could not be taken up may be able to be tomorrow: its device stays.
            let planned = plan.tunnels.iter().any(|wanted| wanted.name == link.name);
            if !ours || right.unwrap_or(planned) {
                continue;
            }
            let netlink = &mut self.sides.fabric_netlink;
            match meanwhile(&self.epoll, &mut self.forwarding, || netlink.delete_link(link.index)) {
                Ok(()) => tracing::info!(tunnel = %link.name, "tunnel device removed"),
                Err(error) => {
                    tracing::error!(tunnel = %link.name, reason = %error, "device cannot be removed")
                }
            }
        }
    }

    pub(super) fn rebuild_table(&mut self) {
        let mut table = Table::default();
        for (slot, tunnel) in self.forwarding.tunnels.iter().enumerate() {
            let Some(tunnel) = tunnel else { continue };
            // The kernel's own tunnels too: a raw socket sees copies of their packets.
            let shim = shim_of(&tunnel.plan.encapsulation);
            if let (Some(shim), (Some(local), Some(remote))) = (shim, tunnel.ends()) {
                table.insert(Ends { line: tunnel.line, local, remote }, shim, slot);
            }
        }
        self.forwarding.table = table;
        self.forwarding.has_timers =
            self.forwarding.tunnels.iter().flatten().any(|tunnel| tunnel.wireguard().is_some());
    }

    /// Opens what is not open, attaches what is not attached, and sees to what vanished.
    pub(super) fn maintain(&mut self) {
        let mut changed = self.maintain_lines();
        self.follow_next_hops();
        self.forwarding.expire();
        let mut works = Vec::new();
        for (slot, tunnel) in self.forwarding.tunnels.iter_mut().enumerate() {
            let Some(tunnel) = tunnel else { continue };
            tunnel.follow_path(&self.state);
            works.extend(tunnel.device_work().map(|work| (slot, work)));
        }
        let mut done = BTreeMap::new();
        if !works.is_empty() {
            let Datapath { sides, .. } = self;
            let run = || works.into_iter().map(|(slot, work)| (slot, work.run(sides))).collect();
            done = meanwhile(&self.epoll, &mut self.forwarding, run);
        }
        for (slot, tunnel) in self.forwarding.tunnels.iter_mut().enumerate() {
            let Some(tunnel) = tunnel else { continue };
            let done = done.remove(&slot);
            let attached = done.map_or(Ok(false), |done| tunnel.take_device(done, &self.sides.fabric));
            changed |= note(&mut tunnel.device_trouble, attached, &tunnel.plan, "device");
            if let Inside::WireGuard(wireguard) = &mut tunnel.inside {
                let opened = wireguard.maintain(&self.sides.underlay, &tunnel.plan);
                changed |= note(&mut tunnel.outer_trouble, opened, &tunnel.plan, "outer side");
            }
        }
        self.follow_shortcut();
        if changed {
            self.watch_all();
        }
        self.forwarding.buffers.round.hasten();
    }

    /// True if a socket of a line was opened or closed.
    pub(super) fn maintain_lines(&mut self) -> bool {
        let mut wishes = self.paths();
        let mut changed = false;
        for slot in 0..self.forwarding.lines.len() {
            let needs = self.needs(slot);
            let line = &mut self.forwarding.lines[slot];
            let (before, was) = (line.is_open(), line.trouble.get().cloned());
            let link = self.keeper.links().get(&line.name);
            let path = wishes.remove(&line.name).unwrap_or(LinePath::Raw(WhyRaw::NotNeeded));
            changed |= line.maintain(&self.sides.underlay, link.map(|link| link.index), &needs, path);
            if !before && line.is_open() {
                tracing::info!(line = %line.name, "line open");
            } else if let Some(missing) = line.trouble.get()
                && was.as_ref() != Some(missing)
            {
                let reason = words::missing(missing, Lang::En);
                tracing::warn!(line = %line.name, reason, "line not usable yet");
            }
        }
        let now = Instant::now();
        changed |= self.forwarding.leave_stack(now);
        self.keep_stack_away(changed);
        changed | self.forwarding.join_stack(now)
    }

    /// What the tunnels over a line ask of it.
    fn needs(&self, line: usize) -> Vec<Need> {
        let mut needs = Vec::new();
        for tunnel in self.forwarding.tunnels.iter().flatten().filter(|tunnel| tunnel.line == line) {
            let protocol = match tunnel.inside {
                Inside::Shim(shim) => Some(shim.protocol()),
                Inside::WireGuard(_) => None,
                Inside::Kernel => continue,
            };
            needs.push(Need { ipv6: tunnel.plan.outer_ipv6, protocol });
        }
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    /// Has the loop woken by every descriptor there is.
    pub(super) fn watch_all(&self) {
        let result = (|| {
            for (slot, line) in self.forwarding.lines.iter().enumerate() {
                if let Some(packets) = &line.packets {
                    watch(&self.epoll, &packets.receiver, Token::Packets(slot))?;
                    watch(&self.epoll, &packets.control, Token::Control(slot))?;
                }
                for (place, receiver) in line.receivers.iter().enumerate() {
                    let token = if receiver.control { Token::LineControl } else { Token::Line };
                    watch(&self.epoll, &receiver.socket, token(slot, place))?;
                }
            }
            for (slot, tunnel) in self.forwarding.tunnels.iter().enumerate() {
                let Some(tunnel) = tunnel else { continue };
                if let Some(device) = &tunnel.device {
                    watch(&self.epoll, device, Token::Device(slot))?;
                }
                if let Some(socket) = tunnel.keeping.as_ref().and_then(|keeping| keeping.kernel.socket()) {
                    watch(&self.epoll, socket, Token::Signals(slot))?;
                }
                if let Some(socket) = tunnel.wireguard().and_then(|wireguard| wireguard.socket.as_ref()) {
                    watch(&self.epoll, socket, Token::Datagrams(slot))?;
                }
            }
            io::Result::Ok(())
        })();
        if let Err(error) = result {
            tracing::error!(reason = %error, "a descriptor cannot be watched");
        }
    }

    /// Is no longer woken by packets: another process reads them now.
    pub(super) fn stop_reading(&self) {
        for line in &self.forwarding.lines {
            for receiver in &line.receivers {
                unwatch(&self.epoll, &receiver.socket);
            }
            if let Some(packets) = &line.packets {
                unwatch(&self.epoll, &packets.receiver);
                unwatch(&self.epoll, &packets.control);
            }
        }
        for tunnel in self.forwarding.tunnels.iter().flatten() {
            if let Some(socket) = tunnel.keeping.as_ref().and_then(|keeping| keeping.kernel.socket()) {
                unwatch(&self.epoll, socket);
            }
            let socket = tunnel.wireguard().and_then(|wireguard| wireguard.socket.as_ref());
            for descriptor in tunnel.device.iter().chain(socket) {
                unwatch(&self.epoll, descriptor);
            }
        }
    }

    /// Lets go of a descriptor that is broken; maintenance opens it anew.
    pub(super) fn release(&mut self, token: Token) {
        match token {
            Token::Device(slot) => {
                if let Some(Some(tunnel)) = self.forwarding.tunnels.get_mut(slot) {
                    tunnel.lose_device();
                }
            }
            Token::Datagrams(slot) => {
                if let Some(Some(tunnel)) = self.forwarding.tunnels.get_mut(slot)
                    && let Inside::WireGuard(wireguard) = &mut tunnel.inside
                {
                    wireguard.socket = None;
                }
            }
            Token::Line(slot, place) | Token::LineControl(slot, place) => {
                if let Some(line) = self.forwarding.lines.get_mut(slot) {
                    line.lose(place);
                }
            }
            Token::Packets(slot) | Token::Control(slot) => {
                if let Some(line) = self.forwarding.lines.get_mut(slot) {
                    line.lose_packets();
                }
            }
            _ => {}
        }
    }
}

impl Datapath {
    /// Asks far ends that are silent, and has interfaces follow what is known of them. To be called when all
    /// that has come was taken in.
    pub(super) fn keep_alive(&mut self, now: Instant) {
        if self.forwarding.next_round(now).is_none_or(|due| due > now) {
            return;
        }
        self.ask_devices();
        self.count_shortcut();
        self.forwarding.ask(now);
        for tunnel in self.forwarding.tunnels.iter_mut().flatten() {
            if let Err(error) = tunnel.settle_carrier(now, &mut self.sides.fabric_netlink) {
                tracing::debug!(tunnel = %tunnel.plan.name, %error, "carrier not set yet");
            }
        }
        self.forwarding.end_round();
        if self.shortcut.outlives_carrier(&self.forwarding) {
            self.follow_shortcut();
        }
    }

    /// Hears of what the kernel's own devices have received meanwhile, where a far end is about to be asked.
    fn ask_devices(&mut self) {
        let now = Instant::now();
        for tunnel in self.forwarding.tunnels.iter_mut().flatten() {
            let Some(keeping) = &mut tunnel.keeping else { continue };
            if !matches!(tunnel.inside, Inside::Kernel) || keeping.next_timeout() > now {
                continue;
            }
            let Ok(Some(traffic)) = self.sides.fabric_netlink.traffic(&tunnel.plan.name) else { continue };
            let before = keeping.kernel.received.replace(traffic.received_packets);
            if before.is_some_and(|before| before != traffic.received_packets) {
                tunnel.hear(now, &mut self.forwarding.buffers.round);
            }
        }
    }
}

/// Notes how an attempt went, in the log if that is news. True if something was opened.
fn note(trouble: &mut Trouble, result: io::Result<bool>, plan: &router_plan::Tunnel, part: &str) -> bool {
    match result {
        Ok(opened) => {
            if trouble.is_over() || opened {
                tracing::info!(tunnel = %plan.name, part, "tunnel part ready");
            }
            opened
        }
        Err(error) => {
            let missing = Missing::from(&error);
            let reason = words::missing(&missing, Lang::En);
            if trouble.is(missing) {
                tracing::warn!(tunnel = %plan.name, part, reason, "tunnel part not ready yet");
            }
            false
        }
    }
}
