package s3blob

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/sticky-pi/sticky-pi-server/server/internal/blob"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// post signs a POST policy as AWS Signature Version 4 does:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
//
// It is signed for now, not for the beginning of a window: versitygw refuses one that was signed more than an hour ago. The
// names of the fields are those of boto3, which made them for today's clients.
func (p *presigner) post(bucket, key string, how blob.Post) (blob.PresignedPost, error) {
	now := p.now().UTC()
	date := now.Format("20060102")
	fields := map[string]string{
		"key":              key,
		"x-amz-algorithm":  "AWS4-HMAC-SHA256",
		"x-amz-credential": p.accessKey + "/" + date + "/" + p.region + "/s3/aws4_request",
		"x-amz-date":       now.Format("20060102T150405Z"),
	}
	conditions := []any{map[string]string{"bucket": bucket}, []any{"content-length-range", 0, how.MaxSize}}
	for _, name := range []string{"key", "x-amz-algorithm", "x-amz-credential", "x-amz-date"} {
		conditions = append(conditions, map[string]string{name: fields[name]})
	}
	policy, err := json.Marshal(map[string]any{
		"expiration": now.Add(how.Life).Format("2006-01-02T15:04:05.000Z"), "conditions": conditions,
	})
	if err != nil {
		return blob.PresignedPost{}, spi.Wrap(spi.CodeInternal, err, "the upload cannot be signed")
	}
	fields["policy"] = base64.StdEncoding.EncodeToString(policy)
	fields["x-amz-signature"] = hex.EncodeToString(sign(p.signingKey(date), fields["policy"]))
	return blob.PresignedPost{URL: strings.TrimSuffix(p.base, "/"), Fields: fields}, nil
}
