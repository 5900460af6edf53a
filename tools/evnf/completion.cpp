// SPDX-License-Identifier: GPL-2.0-or-later
#include "completion.hpp"

namespace evnf::cli
{

namespace
{

void add_if_fits(std::vector<std::string> &out, const std::string &candidate,
                 const std::string &typed)
{
    if (!candidate.empty() && candidate.starts_with(typed))
        out.push_back(candidate);
}

} // namespace

std::string bash_completion()
{
    return R"(# bash completion for evnf: source <(evnf completion bash)
_evnf()
{
    local current=${COMP_WORDS[COMP_CWORD]}
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    mapfile -t COMPREPLY < <(evnf completion words -- "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 0 && ${COMP_WORDS[COMP_CWORD-1]} == apply ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _evnf evnf
)";
}

std::string zsh_completion()
{
    // Both as a file of $fpath, which is run for the first completion, and sourced.
    return R"(#compdef evnf
_evnf()
{
    local -a found
    found=("${(@f)$(evnf completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n ${found[1]} ]]; then
        compadd -a found
    else
        _files
    fi
}
if [[ $funcstack[1] == _evnf ]]; then
    _evnf "$@"
else
    compdef _evnf evnf
fi
)";
}

std::vector<std::string> complete(const CLI::App &app, const std::vector<std::string> &words)
{
    const CLI::App *at = &app;
    for (std::size_t i = 0; i + 1 < words.size(); ++i)
        for (const auto *sub : at->get_subcommands([](const CLI::App *) { return true; }))
            if (sub->get_name() == words[i]) {
                at = sub;
                break;
            }
    const std::string typed = words.empty() ? "" : words.back();
    std::vector<std::string> out;
    for (const auto *sub :
         at->get_subcommands([](const CLI::App *one) { return !one->get_group().empty(); }))
        add_if_fits(out, sub->get_name(), typed);
    if (typed.starts_with("-"))
        for (const auto *app_with_options : {at, &app})
            for (const auto *option : app_with_options->get_options())
                for (const auto &name : option->get_lnames())
                    add_if_fits(out, "--" + name, typed);
    return out;
}

} // namespace evnf::cli
