#compdef evnfd evnf-agentx
# Which have options alone: those that --help lists.
_arguments --
