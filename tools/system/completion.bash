# bash completion for evnfd and evnf-agentx, which have options alone: those that --help lists
complete -F _longopt evnfd evnf-agentx
