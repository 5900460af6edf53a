// SPDX-License-Identifier: GPL-2.0-or-later
#include "pcapng.hpp"

#include <concepts>
#include <cstring>
#include <string>

namespace evnf::cli
{

namespace
{

enum BlockType : std::uint32_t {
    interface_description = 1,
    enhanced_packet = 6,
    section_header = 0x0a0d0d0a,
};

enum Option : std::uint16_t {
    opt_endofopt = 0,
    opt_comment = 1,
    shb_userappl = 4,
    if_name = 2,
    if_tsresol = 9,
};

constexpr std::uint16_t linktype_ethernet = 1;

// A block is written in the byte order of this machine, which the section header's
// magic number tells; its parts are padded to 32 bits.
class Block
{
public:
    explicit Block(BlockType type)
    {
        put<std::uint32_t>(type);
        put<std::uint32_t>(0); // the length, known at the end
    }

    template <std::unsigned_integral T>
    void put(T number)
    {
        append(&number, sizeof number);
    }

    void put(std::span<const std::uint8_t> bytes)
    {
        append(bytes.data(), bytes.size());
        data_.resize((data_.size() + 3) / 4 * 4);
    }

    void option(Option code, std::span<const std::uint8_t> value)
    {
        put<std::uint16_t>(code);
        put(static_cast<std::uint16_t>(value.size()));
        put(value);
        has_options_ = true;
    }

    void option(Option code, std::string_view text)
    {
        text = text.substr(0, fitting(text));
        if (!text.empty())
            option(code,
                   std::span(reinterpret_cast<const std::uint8_t *>(text.data()), text.size()));
    }

    void write(std::ostream &out)
    {
        if (has_options_)
            put<std::uint32_t>(opt_endofopt); // and its length, 0
        const auto length = static_cast<std::uint32_t>(data_.size() + sizeof(std::uint32_t));
        std::memcpy(&data_[sizeof length], &length, sizeof length);
        put(length); // again at the end, for those who read backwards
        out.write(data_.data(), static_cast<std::streamsize>(data_.size()));
        out.flush();
    }

private:
    // How much of a text an option can hold, without cutting a UTF-8 character apart.
    static std::size_t fitting(std::string_view text)
    {
        std::size_t n = 0xffff;
        if (text.size() <= n)
            return text.size();
        while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80)
            --n;
        return n;
    }

    void append(const void *from, std::size_t size)
    {
        data_.append(static_cast<const char *>(from), size);
    }

    std::string data_;
    bool has_options_ = false;
};

} // namespace

PcapNg::PcapNg(std::ostream &out) : out_(out)
{
    Block block(section_header);
    block.put<std::uint32_t>(0x1a2b3c4d); // the byte-order magic
    block.put<std::uint16_t>(1);          // version 1.0
    block.put<std::uint16_t>(0);
    block.put(~std::uint64_t{0}); // the section's length: not known beforehand
    block.option(shb_userappl, "evnf " EVNF_VERSION);
    block.write(out_);
}

std::uint32_t PcapNg::interface(std::string_view name, std::uint32_t snaplen)
{
    constexpr std::uint8_t nanoseconds = 9; // 10^-9 seconds
    Block block(interface_description);
    block.put(linktype_ethernet);
    block.put<std::uint16_t>(0); // reserved
    block.put(snaplen);
    block.option(if_name, name);
    block.option(if_tsresol, std::span(&nanoseconds, 1));
    block.write(out_);
    return interfaces_++;
}

void PcapNg::packet(std::uint32_t interface, std::uint64_t nanoseconds,
                    std::span<const std::uint8_t> bytes, std::uint32_t length,
                    std::string_view comment)
{
    Block block(enhanced_packet);
    block.put(interface);
    block.put(static_cast<std::uint32_t>(nanoseconds >> 32)); // in any byte order
    block.put(static_cast<std::uint32_t>(nanoseconds));
    block.put(static_cast<std::uint32_t>(bytes.size()));
    block.put(length);
    block.put(bytes);
    block.option(opt_comment, comment);
    block.write(out_);
}

} // namespace evnf::cli
