/* An XDP program that passes everything: what an end of a veth pair needs to take frames that the other end answers by
 * XDP_TX.
 *
 *     clang-14 -target bpf -O2 -c pass.bpf.c -o pass.bpf.o
 */

__attribute__((section("xdp"), used)) int pass(void *context)
{
    (void)context;
    return 2; /* XDP_PASS */
}

__attribute__((section("license"), used)) char terms[] = "Dual BSD/GPL";
