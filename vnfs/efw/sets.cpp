// SPDX-License-Identifier: GPL-2.0-or-later
#include "vnfs/efw/sets.hpp"

#include <algorithm>
#include <filesystem>

#include "base/file.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "vnfs/efw/set_file.hpp"

namespace evnf::efw
{

namespace
{

namespace fs = std::filesystem;

std::string file_of(const DeclaredSet &set)
{
    return set.name + "." + std::string(set_type_text(set.type));
}

// What was kept of a set; nothing if it never had elements.
Result<Elements> kept(const std::string &folder, const DeclaredSet &set)
{
    const std::string path = folder + "/" + file_of(set);
    auto elements = read_set_file(path, set.type);
    if (!elements && elements.error().code == ENOENT)
        return Elements();
    if (!elements)
        return bad_input(elements.error().message() + " (remove " + path +
                         " to start without these elements)");
    if (elements->size() > set.size) {
        log_warning(path + " has " + std::to_string(elements->size()) + " elements, and set " +
                        in_quotes(set.name) + " may have " + std::to_string(set.size) +
                        ": the rest is left out",
                    {{"vnf", "efw"}, {"set", set.name}});
        elements->resize(set.size);
    }
    return elements;
}

void remove_others(const std::string &folder, const std::vector<DeclaredSet> &sets)
{
    std::set<std::string> wanted;
    for (const auto &set : sets)
        wanted.insert(file_of(set));
    std::error_code ec;
    for (const auto &entry : fs::directory_iterator(folder, ec))
        if (entry.path().has_extension() && !wanted.contains(entry.path().filename()))
            fs::remove(entry.path(), ec);
}

} // namespace

void Sets::declare(std::vector<DeclaredSet> sets)
{
    sets_ = std::move(sets);
    tidy_ = false;
}

Result<DeclaredSet> Sets::find(std::string_view name) const
{
    std::string there;
    for (const auto &set : sets_) {
        if (set.name == name)
            return set;
        there += (there.empty() ? "" : ", ") + set.name;
    }
    return Error{.code = ENOENT,
                 .what = "there is no set " + in_quotes(name) + ": " +
                         (there.empty() ? "the configuration declares none" : "there is " + there)};
}

Result<SetElements::Changed> Sets::changed(const DeclaredSet &set,
                                           Result<SetElements::Changed> result)
{
    if (result && result->added + result->removed > 0)
        unkept_.insert(set.name);
    return result;
}

Result<SetElements::Changed> Sets::change(const DeclaredSet &set, Elements add, Elements del)
{
    return changed(set, elements_.change(set, std::move(add), std::move(del)));
}

Result<SetElements::Changed> Sets::replace(const DeclaredSet &set, Elements wanted)
{
    return changed(set, elements_.replace(set, std::move(wanted)));
}

Result<> Sets::restore(const std::string &folder)
{
    for (const auto &set : sets_) {
        if (elements_.is_marked(set))
            continue;
        auto wanted = kept(folder, set);
        if (!wanted)
            return wanted.error();
        if (auto r = elements_.replace(set, *std::move(wanted)); !r)
            return r.error();
        if (auto r = elements_.mark(set); !r)
            return r;
    }
    return Unit{};
}

Result<> Sets::keep(const std::string &folder)
{
    if (!tidy_) {
        if (auto r = elements_.keep_only(sets_); !r)
            return r;
        remove_others(folder, sets_);
        tidy_ = true;
    }
    std::error_code ec;
    if (!unkept_.empty() && !fs::create_directories(folder, ec) && ec)
        return sys_error("make " + folder, ec.value());
    for (const auto &set : sets_) {
        if (!unkept_.contains(set.name))
            continue;
        auto elements = elements_.all(set);
        if (!elements)
            return elements.error();
        if (auto r = replace_file(folder + "/" + file_of(set), set_file_text(*elements, set.type));
            !r)
            return r;
    }
    unkept_.clear();
    return Unit{};
}

} // namespace evnf::efw
