// SPDX-License-Identifier: GPL-2.0-or-later
// efw's slow path in user space: what becomes of the copies that tell.h sends.
#pragma once

#include <atomic>

#include "vnfs/efw/packet_log.hpp"
#include "vnfs/efw/rejecter.hpp"
#include "vnfs/vnf.hpp"

namespace evnf::efw
{

class EfwWorker : public PacketWorker
{
public:
    EfwWorker(PacketLog &log, const std::atomic<Rejecter *> &rejecter)
        : log_(log),
          rejecter_(rejecter)
    {
    }

    bool handle(const SlowPacket &packet) override
    {
        if (packet.held)
            return true; // nobody there has anything against it
        const std::uint32_t note = packet.head->note;
        if (note & EFW_NOTE_LOG)
            log_.put(*packet.head);
        if ((note >> EFW_NOTE_ACTION_SHIFT & EFW_NOTE_ACTION_MASK) == EFW_REJECT)
            if (Rejecter *rejecter = rejecter_)
                rejecter->refuse(packet.frame, packet.head->pkt);
        return true;
    }

private:
    PacketLog &log_;
    const std::atomic<Rejecter *> &rejecter_; // null while no rule rejects
};

} // namespace evnf::efw
