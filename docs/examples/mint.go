// Mints without any server: two tickets and the key that made them in, a SEND header for each side out.
//
//	RING_SECRET=<32 hex digits> go run mint.go KEY_ID TICKET_A TICKET_B
package main

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log"
	"math/bits"
	"os"
	"strconv"
	"time"
)

func siphash24(key, data []byte) []byte {
	k0, k1 := binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:])
	v := [4]uint64{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	mix := func(a, b, by, turn int) {
		v[a] += v[b]
		v[b] = bits.RotateLeft64(v[b], by) ^ v[a]
		v[a] = bits.RotateLeft64(v[a], turn)
	}
	rounds := func(count int) {
		for ; count > 0; count-- {
			mix(0, 1, 13, 32)
			mix(2, 3, 16, 0)
			mix(0, 3, 21, 0)
			mix(2, 1, 17, 32)
		}
	}
	blocks := append(bytes.Join([][]byte{data, make([]byte, 7-len(data)%8)}, nil), byte(len(data)))
	for at := 0; at < len(blocks); at += 8 {
		word := binary.LittleEndian.Uint64(blocks[at:])
		v[3] ^= word
		rounds(2)
		v[0] ^= word
	}
	v[2] ^= 0xff
	rounds(4)
	return binary.LittleEndian.AppendUint64(nil, v[0]^v[1]^v[2]^v[3])
}

// One side: address and port as headers have them.
type side struct{ ip, port []byte }

// A ticket has one side, a capability two, the lower one first. IPv4 takes four bytes unless a side has IPv6.
func tag(key []byte, purpose, classKey byte, expires uint32, sides ...side) []byte {
	start, mapped := 12, append(make([]byte, 10), 0xff, 0xff)
	for _, it := range sides {
		if !bytes.HasPrefix(it.ip, mapped) {
			start = 0
		}
	}
	data := append([]byte{purpose, classKey}, sides[0].port...)
	data = binary.BigEndian.AppendUint32(data, expires)
	for _, it := range sides {
		data = append(data, it.ip[start:]...)
	}
	for _, it := range sides[1:] {
		data = append(data, it.port...)
	}
	return siphash24(key, data)
}

// The side that received this ticket; a ticket that proves nothing ends here.
func verify(key []byte, keyID byte, ticket []byte, now uint32) side {
	if len(ticket) == 32 && ticket[0] == 0x09 && ticket[1] == keyID {
		expires, from := binary.BigEndian.Uint32(ticket[4:]), side{ticket[8:24], ticket[2:4]}
		right := tag(key, 0x09, keyID, expires, from)
		if now <= expires && expires <= now+180 && subtle.ConstantTimeCompare(ticket[24:], right) == 1 {
			return from
		}
	}
	log.Fatal("a ticket proves nothing: another reflector's, another key's, or expired; PROBE again")
	return side{}
}

func mint(key []byte, keyID byte, ticketA, ticketB []byte, now, lifetime uint32) [2][]byte {
	a, b := verify(key, keyID, ticketA, now), verify(key, keyID, ticketB, now)
	low, high := a, b
	if bytes.Compare(append(append([]byte{}, a.ip...), a.port...), append(append([]byte{}, b.ip...), b.port...)) > 0 {
		low, high = b, a
	}
	proof := tag(key, 0x0a, keyID, now+lifetime, low, high)
	expires := binary.BigEndian.AppendUint32(nil, now+lifetime)
	header := func(to side) []byte {
		return bytes.Join([][]byte{{0x0a, keyID}, to.port, expires, to.ip, proof}, nil)
	}
	return [2][]byte{header(b), header(a)}
}

func main() {
	key, err := hex.DecodeString(os.Getenv("RING_SECRET"))
	check(err)
	keyID, err := strconv.ParseUint(os.Args[1], 10, 4)
	check(err)
	ticketA, err := base64.RawURLEncoding.DecodeString(os.Args[2])
	check(err)
	ticketB, err := base64.RawURLEncoding.DecodeString(os.Args[3])
	check(err)
	now, err := strconv.ParseUint(os.Getenv("NOW"), 10, 32)
	if err != nil {
		now = uint64(time.Now().Unix())
	}
	for _, header := range mint(key, byte(keyID), ticketA, ticketB, uint32(now), 300) {
		fmt.Println(base64.RawURLEncoding.EncodeToString(header))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
