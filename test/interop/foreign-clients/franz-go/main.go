// Prints the first records of a topic as franz-go reads them: partition, offset, key and value in hex, "-" for null.
// Arguments: bootstrap servers, topic, number of partitions, number of records.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const silence = 60 * time.Second

func main() {
	if err := read(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(bootstrap, topic, partitionCount, recordCount string) error {
	partitions, err := strconv.Atoi(partitionCount)
	if err != nil {
		return err
	}
	left, err := strconv.Atoi(recordCount)
	if err != nil {
		return err
	}
	offsets := make(map[int32]kgo.Offset)
	for p := range partitions {
		offsets[int32(p)] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	out := bufio.NewWriter(os.Stdout)
	for left > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), silence)
		fetches := client.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			fmt.Fprintln(out, r.Partition, r.Offset, written(r.Key), written(r.Value))
		})
	}
	return out.Flush()
}

func written(data []byte) string {
	if data == nil {
		return "-"
	}
	return hex.EncodeToString(data)
}
