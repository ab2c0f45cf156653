// franz-go under the load of the other clients: a callback for every record, of which the application waits for one in
// 64 (loop=lean) or for each one (loop=task); or the latency of single records (loop=paced, loop=awaited).
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	lookedAt       = 64
	distinctValues = 64
	distinctKeys   = 10_000
)

type arguments map[string]string

func (a arguments) text(name, fallback string) string {
	if value, ok := a[name]; ok {
		return value
	}
	return fallback
}

func (a arguments) number(name string, fallback int) int {
	value, err := strconv.Atoi(a.text(name, strconv.Itoa(fallback)))
	if err != nil {
		fail(err)
	}
	return value
}

type load struct {
	client      *kgo.Client
	topic       string
	values      [][]byte
	keys        []string
	outstanding int
	next        int
	failure     atomic.Pointer[error]
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "Error:", err)
	os.Exit(1)
}

func main() {
	args := arguments{}
	for _, word := range os.Args[1:] {
		name, value, _ := strings.Cut(word, "=")
		args[name] = value
	}
	loop := args.text("loop", "lean")
	outstanding := args.number("outstanding", 10_000)
	linger := 5
	if loop == "paced" || loop == "awaited" {
		linger = 0
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(args.text("bootstrapServers", ""), ",")...),
		kgo.ClientID("bench"),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(time.Duration(linger) * time.Millisecond),
		kgo.ProducerBatchMaxBytes(int32(args.number("batchSize", 16_384))),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(2 * outstanding),
	}
	if file := args.text("ca", ""); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			fail(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		options = append(options, kgo.DialTLSConfig(&tls.Config{RootCAs: pool}))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		fail(err)
	}
	l := &load{client: client, topic: args.text("topic", "bench-0"), outstanding: outstanding}
	for range distinctValues {
		value := make([]byte, args.number("size", 100))
		rand.Read(value)
		l.values = append(l.values, value)
	}
	if args.text("keyed", "false") == "true" {
		for i := range distinctKeys {
			l.keys = append(l.keys, fmt.Sprintf("order-%06d", i))
		}
	}

	warmup := time.Duration(args.number("warmupMs", 1000)) * time.Millisecond
	var result map[string]any
	switch loop {
	case "paced", "awaited":
		result = l.latency(loop, warmup, args.number("rate", 2000), args.number("seconds", 10))
	default:
		result = l.throughput(loop, warmup, args.number("records", 1_000_000))
	}
	client.Close()
	result["runtime"] = runtime.Version()
	line, err := json.Marshal(result)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

func (l *load) throughput(loop string, warmup time.Duration, records int) map[string]any {
	warmupRecords := 0
	for end := time.Now().Add(warmup); time.Now().Before(end); warmupRecords += 50_000 {
		l.send(loop, 50_000)
	}
	l.flush()
	cpu, start := cpuSeconds(), time.Now()
	l.send(loop, records)
	l.flush()
	seconds, used := time.Since(start).Seconds(), cpuSeconds()-cpu
	return map[string]any{
		"records":              records,
		"seconds":              seconds,
		"recordsPerSecond":     float64(records) / seconds,
		"cpuSecondsPerMillion": used * 1e6 / float64(records),
		"peakRssMB":            peakRssMB(),
		"warmupRecords":        warmupRecords,
	}
}

func (l *load) record() *kgo.Record {
	i := l.next
	l.next++
	record := &kgo.Record{Topic: l.topic, Value: l.values[i%distinctValues]}
	if l.keys != nil {
		record.Key = []byte(l.keys[i%distinctKeys])
		record.Headers = []kgo.RecordHeader{{Key: "source", Value: []byte("checkout")}}
	}
	return record
}

func (l *load) failed(err error) {
	if err != nil {
		l.failure.CompareAndSwap(nil, &err)
	}
}

func (l *load) flush() {
	if err := l.client.Flush(context.Background()); err != nil {
		fail(err)
	}
	if err := l.failure.Load(); err != nil {
		fail(*err)
	}
}

func (l *load) send(loop string, records int) {
	each := lookedAt
	if loop == "task" {
		each = 1
	}
	permits := make(chan struct{}, max(1, l.outstanding/each))
	seldomLookedAt := func(_ *kgo.Record, err error) { l.failed(err) }
	looked := func(_ *kgo.Record, err error) {
		l.failed(err)
		<-permits
	}
	for i := 1; i <= records; i++ {
		if i%each == 0 {
			permits <- struct{}{}
			l.client.Produce(context.Background(), l.record(), looked)
		} else {
			l.client.Produce(context.Background(), l.record(), seldomLookedAt)
		}
	}
}

func (l *load) latency(loop string, warmup time.Duration, rate, seconds int) map[string]any {
	run := l.paced
	if loop == "awaited" {
		run = l.awaited
	}
	run(rate, warmup)
	cpu, start := cpuSeconds(), time.Now()
	latencies := run(rate, time.Duration(seconds)*time.Second)
	wall, used := time.Since(start).Seconds(), cpuSeconds()-cpu
	l.flush()
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	at := func(share float64) float64 {
		return float64(latencies[int(share*float64(len(latencies)-1))].Nanoseconds()) / 1e6
	}
	return map[string]any{
		"records":              len(latencies),
		"recordsPerSecond":     float64(len(latencies)) / wall,
		"p50Ms":                at(0.5),
		"p99Ms":                at(0.99),
		"maxMs":                at(1),
		"cpuSecondsPerMillion": used * 1e6 / float64(len(latencies)),
	}
}

// What is due each millisecond, as the clients in Node do it, whose timers are no finer.
func (l *load) paced(rate int, duration time.Duration) []time.Duration {
	records := int(duration.Seconds() * float64(rate))
	latencies := make([]time.Duration, records)
	var all sync.WaitGroup
	all.Add(records)
	start := time.Now()
	for sent := 0; sent < records; time.Sleep(time.Millisecond) {
		due := min(records, int(time.Since(start).Seconds()*float64(rate)))
		for ; sent < due; sent++ {
			index, sentAt := sent, time.Now()
			l.client.Produce(context.Background(), l.record(), func(_ *kgo.Record, err error) {
				latencies[index] = time.Since(sentAt)
				l.failed(err)
				all.Done()
			})
		}
	}
	all.Wait()
	return latencies
}

func (l *load) awaited(_ int, duration time.Duration) []time.Duration {
	var latencies []time.Duration
	for end := time.Now().Add(duration); time.Now().Before(end); {
		sentAt := time.Now()
		if err := l.client.ProduceSync(context.Background(), l.record()).FirstErr(); err != nil {
			fail(err)
		}
		latencies = append(latencies, time.Since(sentAt))
	}
	return latencies
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func peakRssMB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+)`).FindSubmatch(status)
	if found == nil {
		return -1
	}
	kilobytes, _ := strconv.ParseFloat(string(found[1]), 64)
	return kilobytes / 1024
}
