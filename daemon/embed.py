#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints a C++ header with a text file as the constant NAME: embed.py FILE NAME."""
import sys

with open(sys.argv[1], encoding="utf-8") as f:
    print(f'inline constexpr const char *{sys.argv[2]} = R"EMBED({f.read()})EMBED";')
