// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/daemon.hpp"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <set>

#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/compose.hpp"
#include "daemon/surroundings.hpp"

namespace evnf
{

namespace
{

// How long a packet may be with its slow path when its chain is replaced.
constexpr auto retire_after = std::chrono::seconds(2);
constexpr auto retire_every = std::chrono::milliseconds(500);

// The interfaces that a document's chains name and that are there.
std::map<std::string, Link> links_used(const json &document, const std::vector<Link> &links)
{
    std::map<std::string, Link> out;
    for (const auto &chain : chains_of(document))
        for (const auto &name : chain.interfaces())
            for (const auto &link : links)
                if (link.name == name)
                    out.emplace(link.name, link);
    for (const auto &i : instances_of(document))
        for (const auto &link : links)
            if (i.exit == EXIT_TAP && link.name == i.tap)
                out.emplace(link.name, link);
    return out;
}

bool same_link(const Link &a, const Link &b)
{
    return a.ifindex == b.ifindex && a.mac == b.mac && a.mtu == b.mtu;
}

} // namespace

Result<std::unique_ptr<Daemon>> Daemon::create(const Options &options, Loop &loop)
{
    auto rtnl = Rtnl::open();
    if (!rtnl)
        return rtnl.error();
    auto timer = timer_fd(retire_every);
    if (!timer)
        return timer.error();
    std::unique_ptr<Daemon> d(new Daemon(options, *std::move(rtnl), *std::move(timer)));
    auto watch = loop.watch(d->retire_timer_.get(), [daemon = d.get()]() -> Result<> {
        read_timer(daemon->retire_timer_);
        daemon->expire();
        daemon->retire_replaced();
        return Unit{};
    });
    if (!watch)
        return watch.error();
    d->retire_watch_ = *std::move(watch);
    auto nexthops =
        NextHops::create(loop, d->rtnl_, [daemon = d.get()] { daemon->links_changed(); });
    if (!nexthops)
        return nexthops.error();
    d->nexthops_ = *std::move(nexthops);
    return d;
}

Daemon::Daemon(const Options &options, Rtnl rtnl, Fd retire_timer)
    : options_(options),
      rtnl_(std::move(rtnl)),
      journal_(options.journal_path()),
      retire_timer_(std::move(retire_timer))
{
}

Result<> Daemon::start(const json &file)
{
    auto kept = read_state(options_.state_path());
    if (!kept)
        return kept.error();
    std::error_code ec;
    std::filesystem::create_directories(options_.state_dir, ec);
    if (ec)
        return sys_error("make " + options_.state_dir, ec.value());
    Pins pins(options_.pin_dir, options_.name, options_.anew ? Foreign::replace : Foreign::refuse);
    if (auto r = pins.create(); !r)
        return r;
    if (*kept) {
        state_ = **kept;
        auto steps = journal_.read();
        if (!steps)
            return steps.error();
        if (auto r = replay(state_, *steps); !r)
            return std::move(r).context(options_.journal_path());
        state_.change(state_.document, "start", {}); // if nothing is known of how it came
    } else if (auto r = journal_.clear(); !r) {      // it would be taken for one of the new state
        return r;
    }
    auto owner = pins.owner();
    if (!owner)
        return owner.error();
    plane_ = std::make_unique<FastPlane>(std::move(pins), options_.pin_dir, state_.slots, *owner);

    const bool edited = !state_.has_incorporated(file);
    auto document = check_kept(edited ? file : state_.document);
    if (!document)
        return document.error();
    if (edited && *kept) {
        log_info(options_.config + " was edited since it was last applied: applying it");
        for (const auto &line : diff_documents(state_.document, *document))
            log_info("  " + line, {{"change", line}});
    }
    if (auto r = put_in_force(*document, FastPlane::Missing::refuse); !r)
        return r;
    if (auto r = save(*document, edited && *kept ? "file edited" : "start",
                      {edited ? &file : nullptr, From::file});
        !r)
        return r;
    for (const auto &warning : warnings())
        log_warning(warning);
    return Unit{};
}

// The kept state is checked too: it may be another version's, or damaged.
Result<json> Daemon::check_kept(const json &wanted) const
{
    try {
        auto document = check_document(wanted, state_.document);
        if (document)
            if (auto r = check_surroundings(*document, state_.document, rtnl_); !r)
                return r.error();
        return document;
    } catch (const json::exception &) {
        return bad_input(options_.state_path() +
                         " is damaged: remove it to start from the configuration file alone");
    }
}

// Builds and attaches. Afterwards the fast path runs `document`, or what it ran before.
Result<> Daemon::put_in_force(const json &document, FastPlane::Missing missing)
{
    auto links = rtnl_.links();
    if (!links)
        return links.error();
    auto used = links_used(document, *links);
    auto serve = [&](Generation &next) {
        std::map<unsigned, Link> ports;
        for (const auto &[name, link] : used)
            ports.emplace(link.ifindex, link);
        if (auto r = restore_live(next); !r)
            return r;
        return nexthops_->serve(next.maps(), std::move(ports));
    };
    if (auto r = plane_->install(document, state_.document, rtnl_, missing, serve); !r) {
        if (auto *current = plane_->current()) { // its next hops go on being kept
            std::map<unsigned, Link> ports;
            for (const auto &[name, link] : known_links_)
                ports.emplace(link.ifindex, link);
            if (auto back = nexthops_->serve(current->maps(), std::move(ports)); !back)
                log_error("keep next hops", back.error());
        }
        return r;
    }
    known_links_ = std::move(used);
    replaced_at_ = std::chrono::steady_clock::now();
    return cover(*links);
}

// A packet may leave by any interface after its slow path, so the way back is on all.
Result<> Daemon::cover(const std::vector<Link> &links)
{
    return plane_->cover(links);
}

// Packets that were with a slow path when the chains were changed have come back by now.
void Daemon::retire_replaced()
{
    if (!plane_)
        return;
    if (std::chrono::steady_clock::now() - replaced_at_ > retire_after)
        plane_->retire_old();
    plane_->scale_workers();
    if (std::chrono::steady_clock::now() >= keep_at_)
        keep_live();
}

Result<> Daemon::save(const json &document, const std::string &what, Written written)
{
    State next = state_;
    next.change(document, what, diff_documents(state_.document, document));
    next.slots = plane_->slots();
    auto &known = next.incorporated;
    if (written.document && written.from == From::file)
        known.assign(1, *written.document);
    else if (written.document) {
        // The last one that was applied, and the daemon's own file, which is the last.
        known.insert(known.begin(), *written.document);
        if (known.size() > 2)
            known.erase(known.begin() + 1, known.end() - 1);
    }
    auto size = write_state(options_.state_path(), next);
    if (!size)
        return size.error();
    state_ = std::move(next);
    state_size_ = *size;
    steppers_.clear();
    // Its entries are of changes that the state has by now, so that they mean nothing.
    if (auto r = journal_.clear(); !r)
        log_error(r.error().message());
    return Unit{};
}

// The journal is no longer than the state: so on average that costs a step little.
Result<> Daemon::save_step(const json &patch, const std::string &what,
                           const std::vector<std::string> &lines)
{
    constexpr std::size_t least_journal = 256 * 1024;
    if (journal_.size() > std::max(state_size_, least_journal)) {
        auto size = write_state(options_.state_path(), state_);
        if (!size)
            return size.error();
        state_size_ = *size;
        if (auto r = journal_.clear(); !r)
            return r;
    }
    state_.change_by(patch, what, lines);
    auto r = journal_.add(journal_entry(state_, patch));
    if (!r)
        state_.take_back();
    return r;
}

// Here, where the chains are as they were written: the fast path can only name them.
Result<> Daemon::check_interfaces(const json &written, const json &document)
{
    auto links = rtnl_.links();
    if (!links)
        return links.error();
    std::set<std::string> names;
    for (const auto &link : *links)
        names.insert(link.name);
    std::string there;
    for (const auto &name : names)
        there += (there.empty() ? "" : ", ") + name;
    const auto chains = chains_of(document);
    for (std::size_t c = 0; c < chains.size(); ++c)
        for (const auto &name : chains[c].interfaces())
            if (!names.contains(name))
                return at_interface(written["chain"][c], name,
                                    "no interface is named " + name + " here: there is " + there,
                                    "/chain/" + std::to_string(c));
    return Unit{};
}

// The way of every change but a VNF's verb: all of `wanted` is in force and kept
// afterwards, or nothing of it.
Daemon::Changes Daemon::change_to(const json &wanted, const std::string &what, bool dry_run,
                                  Written written)
{
    auto document = check_document(wanted, state_.document);
    if (!document)
        return document.error();
    if (auto r = check_interfaces(wanted, *document); !r)
        return r.error();
    if (auto r = check_surroundings(*document, state_.document, rtnl_); !r)
        return r.error();
    auto changes = diff_documents(state_.document, *document);
    if (dry_run)
        return changes;
    const unsigned before = plane_->number();
    keep_live();
    auto done = put_in_force(*document, FastPlane::Missing::refuse);
    if (done)
        done = save(*document, what, written);
    if (!done) {
        if (plane_->number() != before) // it came into force, but not all else went well
            if (auto back = put_in_force(state_.document, FastPlane::Missing::skip); !back)
                log_error("go back to the state before", back.error());
        return done.error();
    }
    for (const auto &line : changes)
        log_info(what + ": " + line, {{"change", line}});
    return changes;
}

Daemon::Changes Daemon::apply(const json &written, bool dry_run, From from)
{
    return change_to(written, from == From::file ? "file edited" : "apply", dry_run,
                     {&written, from});
}

Daemon::Changes Daemon::set_chain(const std::string &name, const json &chain, bool dry_run)
{
    auto wanted = with_chain(state_.document, name, chain);
    if (!wanted)
        return wanted.error();
    auto changes = change_to(*wanted, "chain set " + name, dry_run, {});
    if (changes)
        return changes;
    Error e = changes.error();
    for (std::size_t c = 0; c < (*wanted)["chain"].size(); ++c) {
        const std::string at = "/chain/" + std::to_string(c);
        if ((*wanted)["chain"][c]["name"] == name && (e.where + "/").starts_with(at + "/"))
            e.where.erase(0, at.size());
    }
    if (e.where == "/path" && !chain.contains("path")) // it was made of a request
        e.where.clear();
    return e;
}

Daemon::Changes Daemon::remove_chain(const std::string &name, bool dry_run)
{
    auto wanted = without_chain(state_.document, name);
    return wanted ? change_to(*wanted, "chain del " + name, dry_run, {}) : wanted.error();
}

Daemon::Changes Daemon::roll_back(std::optional<std::uint64_t> to, bool dry_run)
{
    const auto &kept = state_.history;
    if (!to && kept.size() < 2)
        return Error{.code = ENOENT, .what = "there is no change before the last one to go to"};
    const Change *change = to ? state_.find_change(*to) : &kept[kept.size() - 2];
    if (!change)
        return Error{.code = ENOENT,
                     .what = "change " + std::to_string(*to) + " is not kept: there is " +
                             std::to_string(kept.front().number) + " to " +
                             std::to_string(kept.back().number)};
    return change_to(state_.document_after(*change),
                     "rollback to " + std::to_string(change->number), dry_run, {});
}

Result<std::string> Daemon::find_instance(const VnfType &type, const std::string &name) const
{
    const std::string wanted = name.empty() ? type.name : name;
    std::string there;
    for (const auto &[other, section] : state_.document.items()) {
        if (other == "chain" || type_of_section(other, section) != &type)
            continue;
        if (other == wanted)
            return wanted;
        there += (there.empty() ? "" : ", ") + other;
    }
    return Error{.code = ENOENT,
                 .what = "no instance of " + type.name + " is named " + in_quotes(wanted) +
                         ": there is " + there};
}

void Daemon::expire()
{
    if (!plane_)
        return;
    const auto now = static_cast<std::uint64_t>(std::time(nullptr));
    std::vector<std::pair<std::string, const VnfType *>> due;
    for (const auto &[name, section] : state_.document.items())
        if (const auto *type = name == "chain" ? nullptr : type_of_section(name, section);
            type && type->expire && type->expire(section, now))
            due.emplace_back(name, type);
    for (const auto &[name, type] : due) {
        const Route route{
            .method = {},
            .pattern = {},
            .edit = [&, expires = type->expire](const json &section, const Request &) {
                return Result<Edit>(Edit{*expires(section, now), nullptr});
            }};
        if (auto r = edit(*type, name, route, {}, "expiry in " + name); !r)
            log_error("remove what has expired in " + name, r.error(), {{"instance", name}});
    }
}

Result<std::optional<json>> Daemon::take_step(const VnfType &type, const std::string &name,
                                              const Route &route, const Request &request,
                                              const std::string &verb)
{
    if (!route.step)
        return std::optional<json>();
    const json &section = state_.document[name];
    auto &stepper = steppers_[name];
    if (!stepper)
        stepper = type.stepper(section);
    auto step = route.step(*stepper, section, request);
    if (!step)
        return std::optional<json>();
    if (auto r = check_part(chains_of(state_.document),
                            instances_around(state_.document, name, step->part), name);
        !r)
        return std::optional<json>(); // edit() says where in the section it is
    FastPath *fast_path = plane_->current()->fast_path(name);
    if (fast_path)
        if (auto r = fast_path->step(step->patch); !r)
            return r.error();
    json patch = step->patch; // of the document
    for (auto &op : patch)
        op["path"] = "/" + name + op["path"].get<std::string>();
    stepper->taken(section, step->patch);
    if (auto r = save_step(patch, name + ": " + verb, step->lines); !r) {
        steppers_.clear();
        if (auto back = fast_path ? fast_path->apply(own_keys(section)) : Result<>(Unit{}); !back)
            log_error("go back to the rules before", back.error());
        return r.error();
    }
    return std::optional<json>(std::move(step->reply));
}

Result<json> Daemon::edit(const VnfType &type, const std::string &instance, const Route &route,
                          const Request &request, const std::string &verb)
{
    auto name = find_instance(type, instance);
    if (!name)
        return name.error();
    auto step = take_step(type, *name, route, request, verb);
    if (!step)
        return step.error();
    if (*step)
        return **step;
    const json section = own_keys(state_.document[*name]);
    auto edited = route.edit(section, request);
    if (!edited)
        return edited.error();
    auto checked = type.check(edited->section, section);
    if (!checked)
        return checked.error();
    json document = state_.document;
    document[*name] = with_own_keys(document[*name], *checked);
    if (auto r = check_composition(chains_of(document), instances_of(document)); !r)
        return r.error();
    if (auto r = check_surroundings(document, state_.document, rtnl_); !r)
        return r.error();
    FastPath *fast_path = plane_->current()->fast_path(*name);
    // A stage that packets pass by, or that they may pass by from now on: other chains. One
    // that sends copies needs workers.
    const auto turns = [&](const auto &asked) {
        return asked && asked(section) != asked(*checked);
    };
    const bool rebuild = fast_path && (turns(type.idle) || turns(type.copies));
    const auto bring = [&](const json &whole, const json &own) -> Result<> {
        if (rebuild)
            return put_in_force(whole, FastPlane::Missing::skip);
        return fast_path ? fast_path->apply(own) : Result<>(Unit{});
    };
    if (rebuild)
        keep_live();
    if (auto r = bring(document, *checked); !r)
        return r.error();
    if (auto r = save(document, *name + ": " + verb, {}); !r) {
        if (auto back = bring(state_.document, section); !back)
            log_error("go back to the rules before", back.error());
        return r.error();
    }
    return edited->reply;
}

// An interface may have come back, or have another address: the roots are made for what
// it was.
void Daemon::links_changed()
{
    if (!plane_ || !plane_->current())
        return;
    auto links = rtnl_.links();
    if (!links) {
        log_warning(links.error().message());
        return;
    }
    if (auto r = cover(*links); !r)
        log_error("way back from the slow path", r.error());
    const auto used = links_used(state_.document, *links);
    bool changed = false;
    for (const auto &[name, link] : used) {
        const auto known = known_links_.find(name);
        if (known != known_links_.end() && same_link(known->second, link))
            continue;
        log_info(name + " is new or has changed: attaching to it", {{"interface", name}});
        changed = true;
    }
    for (const auto &[name, link] : known_links_)
        if (!used.contains(name)) {
            log_warning(name + " is gone; its chain is attached again when it comes back",
                        {{"interface", name}});
            changed = true;
        }
    if (!changed)
        return;
    keep_live();
    if (auto r = put_in_force(state_.document, FastPlane::Missing::skip); !r) {
        log_error(r.error().message());
        known_links_ = used; // not again and again for the same change
    }
}

} // namespace evnf
