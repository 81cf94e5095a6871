// The original's side of the rows without sockets: its packet ciphers and its FEC code. One
// measurement a run, the interface of kcptun-functions:
//
//	functions cipher NAME MS    MB/s encrypted and decrypted, one packet of 1500 bytes at a time
//	functions fec ANY MS        GB/s of data encoded and rebuilt, 10+3, three lost: the code alone
//
// Times are those that the thread had the processor, and every figure is the best of three times
// MS milliseconds.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"github.com/klauspost/reedsolomon"
	kcp "github.com/xtaci/kcp-go"
)

const (
	// What kcp-go calls mtuLimit: the longest packet.
	packet = 1500
	// Packets in the largest UDP payload.
	batch = 43
	// What the default mtu leaves for a shard.
	shard  = 1324
	data   = 10
	parity = 3
	tries  = 3
	// Between two looks at the time, which cost as much as a fast cipher on a few packets.
	calls = 256
)

// By the names of kcptun, with the lengths of the keys that it passes.
var ciphers = map[string]struct {
	keyLen int
	make   func(key []byte) (kcp.BlockCrypt, error)
}{
	"aes":      {32, kcp.NewAESBlockCrypt},
	"aes-128":  {16, kcp.NewAESBlockCrypt},
	"aes-192":  {24, kcp.NewAESBlockCrypt},
	"salsa20":  {32, kcp.NewSalsa20BlockCrypt},
	"blowfish": {32, kcp.NewBlowfishBlockCrypt},
	"twofish":  {32, kcp.NewTwofishBlockCrypt},
	"cast5":    {16, kcp.NewCast5BlockCrypt},
	"3des":     {24, kcp.NewTripleDESBlockCrypt},
	"tea":      {16, kcp.NewTEABlockCrypt},
	"xtea":     {16, kcp.NewXTEABlockCrypt},
	"xor":      {32, kcp.NewSimpleXORBlockCrypt},
	"sm4":      {16, kcp.NewSM4BlockCrypt},
}

func main() {
	if len(os.Args) != 4 {
		fail("usage: functions cipher NAME MS | fec ANY MS")
	}
	milliseconds, err := strconv.Atoi(os.Args[3])
	if err != nil || milliseconds < 1 {
		fail("MS has to be a number above 0")
	}
	limit := time.Duration(milliseconds) * time.Millisecond
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread()
	switch os.Args[1] {
	case "cipher":
		measureCipher(os.Args[2], limit)
	case "fec":
		measureFEC(limit)
	default:
		fail("neither cipher nor fec")
	}
}

// In place, as kcp-go does it, on as many packets in turn as are in a batch of kcptun-functions: so
// both find as much of them in the caches.
func measureCipher(name string, limit time.Duration) {
	cipher, known := ciphers[name]
	if !known {
		fail("no such cipher: " + name)
	}
	key := make([]byte, cipher.keyLen)
	for i := range key {
		key[i] = 0x5a
	}
	block, err := cipher.make(key)
	if err != nil {
		fail(err.Error())
	}
	bytes := make([]byte, batch*packet)
	at := 0
	next := func() []byte {
		at = (at + packet) % len(bytes)
		return bytes[at : at+packet]
	}
	encrypted := speed(limit, packet, func() { one := next(); block.Encrypt(one, one) })
	decrypted := speed(limit, packet, func() { one := next(); block.Decrypt(one, one) })
	fmt.Printf("%.3f %.3f\n", encrypted/1e6, decrypted/1e6)
}

// The code as kcp-go 5.6.1 makes it (fec.go).
func measureFEC(limit time.Duration) {
	code, err := reedsolomon.New(data, parity)
	if err != nil {
		fail(err.Error())
	}
	shards := make([][]byte, data+parity)
	for i := range shards {
		shards[i] = make([]byte, shard)
		for j := range shards[i] {
			shards[i][j] = byte(31*j + 7*i)
		}
	}
	encoded := speed(limit, data*shard, func() { check(code.Encode(shards)) })
	lost := make([][]byte, len(shards))
	decoded := speed(limit, data*shard, func() {
		copy(lost, shards)
		for i := 0; i < parity; i++ {
			lost[i] = shards[i][:0]
		}
		check(code.ReconstructData(lost))
	})
	fmt.Printf("%.3f %.3f\n", encoded/1e9, decoded/1e9)
}

// Bytes per second of the processor, of calls that work on size bytes each.
func speed(limit time.Duration, size int, call func()) float64 {
	most := 0.0
	for try := 0; try < tries; try++ {
		start := threadTime()
		count, spent := 0, time.Duration(0)
		for spent < limit {
			for i := 0; i < calls; i++ {
				call()
			}
			count += calls
			spent = threadTime() - start
		}
		if speed := float64(count*size) / spent.Seconds(); speed > most {
			most = speed
		}
	}
	return most
}

// How long this thread has had the processor: clock_gettime(2) with CLOCK_THREAD_CPUTIME_ID.
func threadTime() time.Duration {
	var spec syscall.Timespec
	_, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 3, uintptr(unsafe.Pointer(&spec)), 0)
	if failed != 0 {
		fail(failed.Error())
	}
	return time.Duration(spec.Nano())
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "functions:", message)
	os.Exit(1)
}
