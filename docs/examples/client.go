// Two endpoints and the server of their product in one program: PROBE, one call, a datagram through the reflector.
//
//	SERVICE_TOKEN=... go run client.go 203.0.113.7:3478 https://access.example.org fra1
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// An endpoint's part: a socket, and the ticket for its address as the reflector sees it. Connected, it hears the
// reflector alone.
func contact(reflector string) (net.Conn, []byte) {
	udp, err := net.Dial("udp", reflector)
	check(err)
	nonce := make([]byte, 8)
	_, err = rand.Read(nonce)
	check(err)
	for try := 0; try < 5; try++ {
		send(udp, append([]byte{0x08}, make([]byte, 31)...), nonce)
		answer := receive(udp)
		if len(answer) == 40 && answer[0] == 0x09 && bytes.Equal(answer[32:], nonce) {
			return udp, answer[:32]
		}
	}
	log.Fatal("the reflector does not answer; it answers no PROBE from an address that it would not send to")
	return nil, nil
}

// The server's part: it knows that these two may talk, and asks for the header of each.
func capabilities(url, name string, tickets ...[]byte) [][]byte {
	encoding := base64.RawURLEncoding
	texts := []string{encoding.EncodeToString(tickets[0]), encoding.EncodeToString(tickets[1])}
	sealed := os.Getenv("SEALED") != "" // Then neither side learns the other's address.
	body, err := json.Marshal(map[string]any{"reflector": name, "tickets": texts, "sealed": sealed})
	check(err)
	request, err := http.NewRequest("POST", url+"/v1/capabilities", bytes.NewReader(body))
	check(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+os.Getenv("SERVICE_TOKEN"))
	response, err := http.DefaultClient.Do(request)
	check(err)
	defer response.Body.Close()
	var answer struct {
		Headers []string
		Detail  string
	}
	check(json.NewDecoder(response.Body).Decode(&answer))
	var headers [][]byte
	for _, text := range answer.Headers {
		header, err := encoding.DecodeString(text)
		check(err)
		headers = append(headers, header)
	}
	if len(headers) != 2 {
		log.Fatal(answer.Detail)
	}
	return headers
}

func main() {
	reflector := os.Args[1]
	alice, ticketA := contact(reflector)
	bob, ticketB := contact(reflector)
	headers := capabilities(os.Args[2], os.Args[3], ticketA, ticketB)
	send(alice, headers[0], []byte("hello"))
	data := receive(bob)
	fmt.Println("bob got", string(data[32:]))
	send(bob, []byte{data[0] - 1}, data[1:32], []byte("hello yourself")) // Who receives can answer.
	fmt.Println("alice got", string(receive(alice)[32:]))
}

func send(udp net.Conn, parts ...[]byte) {
	_, err := udp.Write(bytes.Join(parts, nil))
	check(err)
}

// The next datagram; 32 zeros when none comes within a second.
func receive(udp net.Conn) []byte {
	datagram := make([]byte, 2048)
	check(udp.SetReadDeadline(time.Now().Add(time.Second)))
	length, err := udp.Read(datagram)
	if err != nil {
		length = 32
	}
	return datagram[:length]
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
