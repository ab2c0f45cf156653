"""Prints the first records of a topic as librdkafka reads them: partition, offset, key and value in hex, "-" for null.

Arguments: bootstrap servers, topic, number of partitions, number of records.
"""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

SILENCE_S = 60

bootstrap, topic, partitions, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
consumer = Consumer(
    {
        "bootstrap.servers": bootstrap,
        "group.id": "nobody",
        "enable.auto.commit": False,
        "check.crcs": True,
        "fetch.max.bytes": 64 * 1024 * 1024,
    }
)
consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])


def written(data):
    return "-" if data is None else data.hex()


for _ in range(count):
    record = consumer.poll(SILENCE_S)
    if record is None:
        sys.exit(f"nothing read for {SILENCE_S} s")
    if record.error():
        sys.exit(str(record.error()))
    print(record.partition(), record.offset(), written(record.key()), written(record.value()))
consumer.close()
